//! The lanes: each connection has a lane of batches, and lanes take turns to be delivered.
//!
//! The turns are those of fq_codel (RFC 8290, section 4.2), whose packets are records here, weighed by their cost to
//! JavaScript. A lane that had nothing waiting and now has little is *fresh*: it goes ahead of the others. Afterwards
//! it stays among the others, even if it is empty, until its turn has come there. So a connection that sends a little
//! again and again gains one turn for each round, and not one for each message. A crowd of new connections is fresh as
//! well: the others have a share after each few that fresh lanes took.
//!
//! ```text
//!   not listed ──short batch──▶ fresh ──share used, or empty──▶ others ──▶ next in turn ──empty──▶ not listed
//!        └───────long batch───────────────────────────────────▶  ▲               │
//!                                                                └──share used───┘
//! ```
//!
//! May not know what an event means, nor lock: the lanes belong to the application's thread.

use super::queue::Batch;
use std::collections::VecDeque;

/// The work that a lane may do in one turn while others wait. It is some 30 µs of JavaScript's time, against which the
/// native call that a turn may cost is small, and 1.5 ms for a round of 50 busy connections.
pub const SHARE: usize = 64 << 10;

/// The work that fresh lanes may do before one of the others has its turn: most of a thread for lanes that want little,
/// and a fifth of the thread for the others beside a crowd that connects, sends and leaves.
const FRESH: usize = 4 * SHARE;

/// The number of queues of lanes that are not listed which are kept for reuse.
const SPARE: usize = 64;

/// The batches of one connection, or of all servers.
#[derive(Debug, Default)]
pub struct Lane {
    batches: VecDeque<Batch>,
    /// The next record of the first batch.
    pub next: usize,
    /// The work that the lane may still do in this turn. If it is negative, the last record took more than was left.
    credit: isize,
    is_listed: bool,
}

/// All lanes of an environment.
#[derive(Debug, Default)]
pub struct Lanes {
    /// The lanes, by their numbers.
    lanes: Vec<Lane>,
    fresh: VecDeque<usize>,
    others: VecDeque<usize>,
    /// The work of fresh lanes since one of the others had its turn.
    fresh_work: usize,
    /// The number of batches in all lanes.
    queued: usize,
    spare: Vec<VecDeque<Batch>>,
}

/// A turn: whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    number: usize,
    is_fresh: bool,
    /// The work that may be done; unbounded if no other lane waits.
    pub work: usize,
}

impl Lanes {
    /// Queues a batch in its lane.
    pub fn push(&mut self, batch: Batch) {
        let number = batch.lane as usize;
        if number >= self.lanes.len() {
            self.lanes.resize_with(number + 1, Lane::default);
        }
        let lane = &mut self.lanes[number];
        if !lane.is_listed {
            lane.is_listed = true;
            lane.credit = SHARE as isize;
            lane.batches = self.spare.pop().unwrap_or_default();
            match batch.work <= SHARE {
                true => self.fresh.push_back(number),
                false => self.others.push_back(number),
            }
        }
        lane.batches.push_back(batch);
        self.queued += 1;
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// The turn that is next. `None`: nothing is queued.
    pub fn turn(&mut self) -> Option<Turn> {
        loop {
            let is_fresh =
                !self.fresh.is_empty() && (self.others.is_empty() || self.fresh_work < FRESH);
            let list = match is_fresh {
                true => &self.fresh,
                false => &self.others,
            };
            let &number = list.front()?;
            let is_alone = self.fresh.len() + self.others.len() == 1;
            let lane = &mut self.lanes[number];
            if lane.batches.is_empty() {
                self.pass(number, is_fresh);
            } else if lane.credit <= 0 && !is_alone {
                lane.credit += SHARE as isize;
                self.pass(number, is_fresh);
            } else {
                let work = match usize::try_from(lane.credit) {
                    Ok(credit) if !is_alone => credit,
                    _ => usize::MAX,
                };
                return Some(Turn {
                    number,
                    is_fresh,
                    work,
                });
            }
        }
    }

    /// The lane whose turn it is, and its first batch.
    pub fn at(&mut self, turn: Turn) -> Option<(&mut Batch, &mut usize)> {
        let lane = &mut self.lanes[turn.number];
        Some((lane.batches.front_mut()?, &mut lane.next))
    }

    /// Counts work that was done in a turn.
    pub fn worked(&mut self, turn: Turn, work: usize) {
        let lane = &mut self.lanes[turn.number];
        // A lane that is alone has no turns to lose.
        if turn.work < usize::MAX {
            lane.credit = lane.credit.saturating_sub_unsigned(work);
        }
        self.fresh_work = match turn.is_fresh && !self.others.is_empty() {
            true => self.fresh_work.saturating_add(work),
            false => 0,
        };
    }

    /// Removes the first batch of the lane whose turn it is, because all of it was delivered.
    pub fn finish(&mut self, turn: Turn) -> Option<Batch> {
        let lane = &mut self.lanes[turn.number];
        lane.next = 0;
        let batch = lane.batches.pop_front()?;
        self.queued -= 1;
        Some(batch)
    }

    /// Ends the turn of the lane in front.
    fn pass(&mut self, number: usize, is_fresh: bool) {
        match is_fresh {
            true => self.fresh.pop_front(),
            false => self.others.pop_front(),
        };
        let lane = &mut self.lanes[number];
        // An empty lane that was fresh waits for its turn among the others, if there are any.
        if !lane.batches.is_empty() || (is_fresh && !self.others.is_empty()) {
            self.others.push_back(number);
            return;
        }
        lane.is_listed = false;
        let queue = std::mem::take(&mut lane.batches);
        if self.spare.len() < SPARE {
            self.spare.push(queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lane: u32, work: usize) -> Batch {
        let mut batch = Batch::default();
        (batch.lane, batch.work) = (lane, work);
        batch
    }

    /// Lanes from 1 to `count` with much waiting in each.
    fn busy(count: u32) -> Lanes {
        let mut lanes = Lanes::default();
        for lane in 1..=count {
            for _ in 0..100 {
                lanes.push(batch(lane, SHARE + 1));
            }
        }
        lanes
    }

    /// Takes turns, each of whose batches is `work`, and returns whose they were.
    fn turns(lanes: &mut Lanes, work: usize, most: usize) -> Vec<usize> {
        std::iter::from_fn(|| {
            let turn = lanes.turn()?;
            lanes.worked(turn, work);
            lanes.finish(turn);
            Some(turn.number)
        })
        .take(most)
        .collect()
    }

    #[test]
    fn one_lane_alone_goes_on_without_turns() {
        let mut lanes = busy(1);
        let turn = lanes.turn().expect("there is something");
        assert_eq!((turn.number, turn.work), (1, usize::MAX));
        assert_eq!(turns(&mut lanes, SHARE, 1000), [1; 100]);
        assert!(lanes.is_empty() && lanes.turn().is_none());
    }

    #[test]
    fn those_who_have_much_take_turns_of_a_share_each() {
        let order = turns(&mut busy(3), SHARE / 2, 12);
        assert_eq!(order, [1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn a_record_that_is_more_than_a_share_costs_the_turns_that_follow() {
        let mut lanes = busy(2);
        let turn = lanes.turn().expect("there is something");
        lanes.worked(turn, 4 * SHARE);
        lanes.finish(turn);
        assert_eq!(turns(&mut lanes, SHARE, 7), [2, 2, 2, 2, 1, 2, 1]);
    }

    #[test]
    fn who_had_nothing_waiting_goes_ahead_of_everybody() {
        let mut lanes = busy(50);
        turns(&mut lanes, SHARE, 75);
        lanes.push(batch(51, 100));
        assert_eq!(turns(&mut lanes, 100, 1), [51]);
    }

    #[test]
    fn who_comes_again_and_again_gains_a_turn_for_each_round_and_no_more() {
        let mut lanes = busy(9);
        turns(&mut lanes, SHARE, 9);
        let mut order = Vec::new();
        for _ in 0..31 {
            // There is always one of its batches.
            if order.last().is_none_or(|&last| last == 10) {
                lanes.push(batch(10, 100));
            }
            order.extend(turns(&mut lanes, SHARE, 1));
        }
        assert_eq!(order[0], 10, "{order:?}");
        let gained = order.iter().filter(|&&lane| lane == 10).count();
        assert!((4..=5).contains(&gained), "{order:?}");
    }

    #[test]
    fn a_crowd_that_comes_and_goes_leaves_the_others_their_part() {
        let mut lanes = busy(2);
        let mut served = 0;
        for stranger in 3..303 {
            lanes.push(batch(stranger, SHARE / 2));
            let order = turns(&mut lanes, SHARE / 2, 1);
            served += usize::from(order[0] <= 2);
        }
        assert!((30..=120).contains(&served), "{served} of 300");
    }
}
