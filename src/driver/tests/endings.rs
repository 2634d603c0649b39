//! How a simulated connection of two links ends, and what both JavaScript threads must have been told then.

use super::Dice;
use super::js::{Js, Mood};
use super::world::{Ends, World};
use crate::driver::Stop;
use std::time::Duration;

/// Time within which a connection must be over that is to end: a linger, and the slowest network's round trips.
const MAX_ENDING: Duration = Duration::from_secs(300);

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All is done, then both finish.
    Fin,
    /// All is done, then one closes with a code.
    Close,
    /// One closes with a code anywhere.
    CloseEarly,
    /// One is destroyed.
    Stop,
    /// One is destroyed with a reset.
    Reset,
    /// The transport breaks.
    Cut,
    /// The transport ends in good order, anywhere.
    Truncated,
    /// One of a side's threads panics.
    Panic,
    /// A side's process exits.
    Exit,
}

impl World {
    /// Ends the connection.
    pub fn finish(&mut self, ending: Ending, dice: &Dice) {
        let side = dice.below(2);
        let code = dice.pick(&[0, 1, 5, 1 << 20]);
        if !self.ends.borrow().js.iter().all(Js::is_connected) {
            // Nobody can end what it does not know of.
            self.stopped = [None; 2];
            self.ends.borrow_mut().busy = [0; 2];
            self.settle("connecting", |world| {
                world.ends.borrow().js.iter().all(Js::is_connected)
            });
        }
        let ends = self.ends.clone();
        if !matches!(ending, Ending::Fin | Ending::Close) {
            // The last message may come in part.
            ends.borrow_mut().rules.whole = [0; 2];
        }
        match ending {
            Ending::Fin => {
                ends.borrow_mut().js[side].finish();
                if dice.once_in(2) {
                    ends.borrow_mut().js[1 - side].finish();
                }
            }
            Ending::Close | Ending::CloseEarly => ends.borrow_mut().js[side].close(code, "because"),
            Ending::Stop => ends.borrow_mut().js[side].stop(Stop::Close),
            Ending::Reset => ends.borrow_mut().js[side].stop(Stop::Reset),
            Ending::Cut => self.net().cut(),
            Ending::Truncated => self.net().truncate(side),
            Ending::Panic => {
                let js = &mut ends.borrow_mut().js[side];
                js.may_panic = true;
                js.connection.lock().link.panics = true;
            }
            Ending::Exit => ends.borrow_mut().exits = Some(side),
        }
        if matches!(ending, Ending::Panic | Ending::Exit) {
            for _ in 0..60 {
                self.step();
            }
            self.stopped = [None; 2];
            let mut ends = ends.borrow_mut();
            if ending == Ending::Exit && !ends.has_exited {
                ends.exit(side, &self.net);
                self.runners[side].kill();
                ends.js[side].connection.lock().socket = None;
            }
            if ending == Ending::Panic {
                let js = &mut ends.js[side];
                let panics = &mut js.connection.lock().link.panics;
                js.may_panic = !std::mem::take(panics);
            }
            if ending == Ending::Panic && !ends.js[side].may_panic {
                // Nothing has come that panicked.
                ends.js[side].stop(Stop::Close);
            }
        }
        self.end(ending, side, code);
    }

    /// Waits for both ends to be told that the connection has closed, and judges how.
    fn end(&mut self, ending: Ending, side: usize, code: u64) {
        self.stopped = [None; 2];
        self.ends.borrow_mut().mood = Mood::WindingUp;
        self.ends.borrow_mut().busy = [0; 2];
        let started = self.now;
        let is_gone = |ends: &Ends, side| ends.has_exited && ends.exits == Some(side);
        self.settle(&format!("{ending:?} of {side}"), |world| {
            let mut ends = world.ends.borrow_mut();
            let has_exited = ends.has_exited.then_some(ends.exits).flatten();
            for js in &mut ends.js {
                if js.outcome.peer_ended {
                    js.finish();
                }
            }
            let mut closed = ends.js.iter().map(|js| js.outcome.is_closed);
            let [first, second] =
                [0, 1].map(|side| closed.next() == Some(true) || has_exited == Some(side));
            first && second
        });
        assert!(self.now < started + MAX_ENDING, "it takes too long");
        // Nothing comes behind the close, and the sockets close as well.
        for _ in 0..20 {
            self.round();
            if let Some(next) = self.next() {
                self.advance(next);
            }
        }
        let ends = self.ends.borrow();
        for (at, js) in ends.js.iter().enumerate() {
            if is_gone(&ends, at) {
                continue;
            }
            assert!(self.runners[at].is_over() && self.net().is_closed(at));
            assert_eq!(js.inbox.held(), 0, "something is held for ever");
            assert!(js.connection.flow.is_delivered());
            let counters = &js.connection.counters;
            assert_eq!((counters.queue.length(), counters.waiting()), (0, 0));
        }
        drop(ends);
        self.judge_outcome(ending, side, code);
    }

    fn judge_outcome(&self, ending: Ending, side: usize, code: u64) {
        let ends = self.ends.borrow();
        let (own, other) = (&ends.js[side], &ends.js[1 - side]);
        let both_new = !ends.rules.legacy;
        let error = |js: &Js, name: &str| {
            let error = js.outcome.error.as_ref()?;
            error.get(name).cloned()
        };
        match ending {
            Ending::Fin => {
                for js in &ends.js {
                    assert!(js.outcome.peer_ended, "no end: {:?}", js.outcome);
                    assert!(js.outcome.error.is_none(), "{:?}", js.outcome);
                }
            }
            Ending::Close | Ending::CloseEarly => {
                assert!(own.outcome.error.is_none(), "{:?}", own.outcome);
                if both_new && self.is_fast() {
                    let told = match code {
                        0 => other
                            .outcome
                            .told
                            .as_ref()
                            .map(|told| told["closeCode"].clone()),
                        _ => error(other, "closeCode"),
                    };
                    assert_eq!(told, Some(code.into()), "{:?}", other.outcome);
                }
            }
            Ending::Stop => {
                assert!(own.outcome.error.is_none(), "{:?}", own.outcome);
                if both_new && self.is_fast() && own.sends_qmux() {
                    let told = other.outcome.told.as_ref();
                    assert!(told.is_some(), "{:?}", other.outcome);
                }
            }
            Ending::Reset => assert!(own.outcome.error.is_none(), "{:?}", own.outcome),
            Ending::Cut => {
                for js in &ends.js {
                    let origin = error(js, "origin");
                    assert_eq!(origin, Some("system".into()), "{:?}", js.outcome);
                }
            }
            Ending::Panic => {
                if own.may_panic {
                    assert_eq!(error(own, "origin"), Some("internal".into()));
                }
            }
            Ending::Exit => {
                // What was sent is the beginning of what was to be sent.
                let codes = [Some("ERR_MUX_FRAME_TRUNCATED".into()), None];
                assert!(codes.contains(&error(other, "code")), "{:?}", other.outcome);
            }
            Ending::Truncated => {}
        }
    }

    /// Whether the last words of an end arrive while it still waits for that.
    fn is_fast(&self) -> bool {
        let net = self.net();
        let mut ways = net.ways.iter();
        ways.all(|way| way.capacity >= 20_000 && way.delay <= Duration::from_millis(1))
    }
}
