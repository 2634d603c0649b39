//! An application of one end of a simulated connection: does what a program may do, and reacts to events later than they
//! come, as it is where another thread runs the program.

use super::choices::Choices;
use super::judge::{EARLY_CAP, Judge, News, Rules, writer};
use super::ledger::{Answer, Finish, Ledger};
use super::proto::*;
use std::collections::BTreeMap;

/// What an application can ask of its end of a connection.
pub trait Api {
    fn open(&mut self, slot: u32, meta: &str);
    fn write(&mut self, stream: Handle, payload: &[u8]);
    fn finish(&mut self, stream: Handle, value: Option<&str>);
    fn accept(&mut self, stream: Handle);
    fn refuse(&mut self, stream: Handle, code: u64);
    fn hold(&mut self, stream: Handle, bytes: u32);
    fn release(&mut self, stream: Handle, bytes: u32);
    fn forget(&mut self, stream: Handle);
    fn mark(&mut self, stream: Option<Handle>, id: u32);
    fn discard(&mut self, stream: Handle);
    fn reset(&mut self, stream: Handle, code: u64);
    fn stop(&mut self, stream: Handle, code: u64);
    fn unread(&mut self, stream: Handle);
    fn credit(&mut self, stream: Option<Handle>);
    fn ping(&mut self, id: u32);
    fn set_priority(&mut self, stream: Handle, urgency: u8, incremental: bool);
    fn go_away(&mut self);
    fn resize_window(&mut self, bytes: u32);

    /// Which directions speak QMux, as far as the application knows.
    fn wires(&self) -> Wires;
    /// Whether the application may send.
    fn can_send(&self) -> bool;
    /// Whether all that was asked for is with the kernel.
    fn is_flushed(&self) -> bool;
}

/// A stream as the application knows it.
#[derive(Debug)]
struct Live {
    number: usize,
    is_open: bool,
    is_unanswered: bool,
    is_blocked: bool,
    /// Whether what comes is held.
    is_paused: bool,
    held: u64,
}

/// One application.
#[derive(Debug)]
pub struct Application {
    side: usize,
    pub judge: Judge,
    live: BTreeMap<Handle, Live>,
    free: Vec<u32>,
    slots: u32,
    /// Held bytes of streams that have closed.
    orphans: Vec<(Handle, usize, u64)>,
    goes: bool,
    pub peer_goes: bool,
    next_ping: u32,
    next_mark: u32,
    resets: u32,
    pub is_paused: bool,
    /// Payload bytes it may still write.
    pub budget: usize,
    /// All it wrote, in bytes and in calls.
    pub written: u64,
    pub calls: u64,
}

impl Application {
    pub fn new(side: usize, budget: usize) -> Self {
        Self {
            side,
            judge: Judge::new(side),
            live: BTreeMap::new(),
            free: Vec::new(),
            slots: 0,
            orphans: Vec::new(),
            goes: false,
            peer_goes: false,
            next_ping: 0,
            next_mark: 0,
            resets: 0,
            is_paused: false,
            budget,
            written: 0,
            calls: 0,
        }
    }

    /// Reacts to the next `count` events.
    pub fn react(&mut self, count: usize, end: &mut dyn Api, ledger: &mut Ledger) -> bool {
        for done in 0..count {
            let Some(news) = self.judge.news.pop_front() else {
                return done > 0;
            };
            match news {
                News::Stream(handle, number) => {
                    let live = Live {
                        is_unanswered: true,
                        is_open: true,
                        ..Live::new(number)
                    };
                    let taken = self.live.insert(handle, live);
                    assert!(taken.is_none(), "{handle:?} was not forgotten");
                }
                News::Opened(handle) => {
                    if let Some(live) = self.live.get_mut(&handle) {
                        live.is_open = true;
                    }
                }
                News::Data(handle, length, credited) => {
                    let live = self.live.get_mut(&handle).expect("not closed yet");
                    let half = &mut ledger.streams[live.number].halves[1 - writer(handle)];
                    if live.is_paused && half.stop.is_none() && length > 0 {
                        live.held += length as u64;
                        self.judge.held += length as u64;
                        half.held_without += if credited { 0 } else { length as u64 };
                        end.hold(handle, length as u32);
                    } else if credited {
                        self.judge.consume(half, length as u64);
                    }
                }
                News::SendingOver(number, half) => {
                    ledger.streams[number].halves[half].is_over = true;
                }
                News::Failed(number) => ledger.streams[number].halves[0].is_over = true,
                News::Blocked(handle, blocked) => {
                    let live = self.live.get_mut(&handle).expect("not closed yet");
                    assert_ne!(live.is_blocked, blocked, "told twice");
                    live.is_blocked = blocked;
                }
                News::GoAway => self.peer_goes = true,
                News::Closed(handle) => {
                    let live = self.live.remove(&handle).expect("closed once");
                    // An opener that has ended still waits for its answer.
                    if live.is_unanswered {
                        ledger.streams[live.number].answer = Some(Answer::Accepted);
                        end.accept(handle);
                    }
                    if live.held > 0 {
                        self.orphans.push((handle, live.number, live.held));
                    }
                    match handle.is_local() {
                        true => self.free.push(handle.slot() as u32),
                        false => end.forget(handle),
                    }
                }
                News::Credit(stream) => end.credit(stream),
            }
        }
        count > 0
    }

    fn can_write(&self, handle: Handle, live: &Live, end: &dyn Api, rules: &Rules) -> bool {
        let sending = end.wires().sending;
        match handle.is_local() {
            true => live.is_open || sending || rules.cap <= EARLY_CAP,
            false => sending && !live.is_unanswered,
        }
    }

    /// The streams that can be written to.
    fn writable(&self, end: &dyn Api, ledger: &Ledger, rules: &Rules) -> Vec<Handle> {
        let streams = self.live.iter().filter(|(handle, live)| {
            !ledger.streams[live.number].halves[writer(**handle)].is_over
                && self.can_write(**handle, live, end, rules)
        });
        streams.map(|(&handle, _)| handle).collect()
    }

    /// Does something that a program may do.
    pub fn act(
        &mut self,
        choices: &mut Choices<'_>,
        end: &mut dyn Api,
        ledger: &mut Ledger,
        rules: &Rules,
    ) {
        let what = choices.below(44);
        let ordered = end.can_send();
        self.calls += 1;
        match what {
            0..=4 if ordered => self.open(choices, end, ledger, rules),
            5..=20 if ordered => {
                let Some((handle, number)) = self.some_writable(choices, end, ledger, rules) else {
                    return;
                };
                if self.live[&handle].is_blocked && !choices.once_in(8) {
                    return;
                }
                let length = choices.size(rules.longest).min(self.budget);
                self.budget -= length;
                self.written += length as u64;
                let half = &mut ledger.streams[number].halves[writer(handle)];
                let bytes = half.write(length);
                if !end.wires().sending {
                    half.early = half.written;
                }
                end.write(handle, &bytes);
            }
            21..=24 if ordered => {
                let Some((handle, number)) = self.some_writable(choices, end, ledger, rules) else {
                    return;
                };
                let finish = match what {
                    21 | 22 => Finish::End(None),
                    23 => {
                        let length = choices.size(rules.longest).min(self.budget);
                        self.budget -= length;
                        self.written += length as u64;
                        Finish::End(Some(format!("\"{}\"", "v".repeat(length))))
                    }
                    _ => Finish::Reset(choices.below(1000) as u64),
                };
                self.finish(handle, number, finish, end, ledger);
            }
            25 => self.stop(choices, end, ledger, rules),
            26..=29 if ordered => {
                let code = choices
                    .once_in(6)
                    .then(|| choices.below(1 << 14) as u64)
                    .filter(|_| end.wires().sending || rules.legacy);
                self.answer(code, end, ledger, rules);
            }
            30..=33 => {
                let place = choices.below(self.live.len() + self.orphans.len());
                let most = choices.size(100_000) as u64;
                self.release(place, most, end, ledger);
            }
            34 | 35 => {
                let place = choices.below(self.live.len());
                if let Some(live) = self.live.values_mut().nth(place) {
                    live.is_paused = !live.is_paused;
                }
            }
            36 if self.next_ping < 60 && self.has_switched(end) => {
                self.judge.pings.push_back(self.next_ping);
                end.ping(self.next_ping);
                self.next_ping += 1;
            }
            37 | 38 if ordered => self.mark(choices, end, ledger),
            39 => {
                let place = choices.below(self.live.len());
                let (urgency, incremental) = (choices.below(8) as u8, choices.once_in(2));
                if let Some(&handle) = self.live.keys().nth(place) {
                    end.set_priority(handle, urgency, incremental);
                }
            }
            40 => self.is_paused = !self.is_paused && choices.once_in(2),
            41 if choices.once_in(20) => self.go_away(end),
            41 if choices.once_in(4) => {
                let most = rules.connection_window[self.side] as usize;
                end.resize_window(choices.size(most) as u32);
            }
            42 | 43 => {
                let place = choices.below(self.live.len());
                let Some((&handle, live)) = self.live.iter().nth(place) else {
                    return;
                };
                let stream = &mut ledger.streams[live.number];
                stream.is_unread |= handle.is_local() && stream.halves[0].is_over;
                if stream.is_unread && handle.is_local() {
                    end.unread(handle);
                }
            }
            _ => {}
        }
    }

    /// Serves no more streams.
    pub fn go_away(&mut self, end: &mut dyn Api) {
        self.goes = true;
        end.go_away();
    }

    /// Whether it went away, which the other end is told where a wire can.
    pub fn has_gone(&self) -> bool {
        self.goes
    }

    fn has_switched(&self, end: &dyn Api) -> bool {
        let wires = end.wires();
        wires.sending && wires.receiving
    }

    fn some_writable(
        &self,
        choices: &mut Choices<'_>,
        end: &dyn Api,
        ledger: &Ledger,
        rules: &Rules,
    ) -> Option<(Handle, usize)> {
        let streams = self.writable(end, ledger, rules);
        let place = choices.below(streams.len());
        let &handle = streams.get(place)?;
        Some((handle, self.live[&handle].number))
    }

    fn open(
        &mut self,
        choices: &mut Choices<'_>,
        end: &mut dyn Api,
        ledger: &mut Ledger,
        rules: &Rules,
    ) {
        let own = self.live.keys().filter(|handle| handle.is_local()).count();
        let may_open = rules.opens_first[self.side] || end.wires().sending;
        if own >= rules.cap || self.peer_goes || !may_open {
            return;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        let length = match choices.once_in(6) {
            true => choices.size(rules.longest).min(self.budget),
            false => 0,
        };
        self.budget -= length;
        let number = ledger.open(self.side, length);
        let handle = Handle::local(slot);
        self.live.insert(handle, Live::new(number));
        self.judge.known.insert(handle, number);
        self.written += ledger.streams[number].meta.len() as u64;
        end.open(slot, &ledger.streams[number].meta);
    }

    fn finish(
        &mut self,
        handle: Handle,
        number: usize,
        finish: Finish,
        end: &mut dyn Api,
        ledger: &mut Ledger,
    ) {
        let stream = &mut ledger.streams[number];
        stream.ended_early |= !self.live[&handle].is_open;
        let half = &mut stream.halves[writer(handle)];
        half.is_over = true;
        match &finish {
            Finish::End(value) => end.finish(handle, value.as_deref()),
            Finish::Reset(code) => {
                self.resets += 1;
                end.reset(handle, *code);
            }
        }
        half.finish = Some(finish);
    }

    fn stop(
        &mut self,
        choices: &mut Choices<'_>,
        end: &mut dyn Api,
        ledger: &mut Ledger,
        rules: &Rules,
    ) {
        let streams: Vec<Handle> = self
            .live
            .iter()
            .filter(|(handle, live)| {
                let half = &ledger.streams[live.number].halves[1 - writer(**handle)];
                let has_half = !handle.is_local() || !rules.legacy;
                has_half && !live.is_unanswered && half.stop.is_none()
            })
            .map(|(&handle, _)| handle)
            .collect();
        let place = choices.below(streams.len());
        let Some(handle) = streams.get(place) else {
            return;
        };
        let code = choices.below(3) as u64;
        ledger.streams[self.live[handle].number].halves[1 - writer(*handle)].stop = Some(code);
        match code {
            0 => end.discard(*handle),
            _ => end.stop(*handle, code),
        }
    }

    /// Accepts the first stream that waits for it, or refuses it with a code.
    fn answer(
        &mut self,
        refuse: Option<u64>,
        end: &mut dyn Api,
        ledger: &mut Ledger,
        rules: &Rules,
    ) -> bool {
        let waiting = self.live.iter_mut().find(|(_, live)| live.is_unanswered);
        let Some((&handle, live)) = waiting else {
            return false;
        };
        live.is_unanswered = false;
        let stream = &mut ledger.streams[live.number];
        match refuse {
            None => {
                stream.answer = Some(Answer::Accepted);
                end.accept(handle);
            }
            Some(code) => {
                stream.answer = Some(Answer::Refused(code));
                stream.halves[0].stop = Some(code);
                stream.halves[1].is_over = true;
                stream.halves[1].saw_finish |= !rules.legacy;
                end.refuse(handle, code);
            }
        }
        true
    }

    /// Releases at most so much of a stream that holds something.
    fn release(&mut self, place: usize, most: u64, end: &mut dyn Api, ledger: &mut Ledger) -> bool {
        let streams = self.live.iter_mut();
        let held = streams
            .map(|(&handle, live)| (handle, live.number, &mut live.held))
            .chain(
                self.orphans
                    .iter_mut()
                    .map(|(handle, number, held)| (*handle, *number, held)),
            )
            .nth(place);
        let Some((handle, number, held)) = held else {
            return false;
        };
        let bytes = (*held).min(most);
        if bytes == 0 {
            return false;
        }
        *held -= bytes;
        self.judge.held -= bytes;
        self.orphans.retain(|&(_, _, held)| held > 0);
        let half = &mut ledger.streams[number].halves[1 - writer(handle)];
        let without = bytes.min(half.held_without);
        half.held_without -= without;
        self.judge.consume(half, bytes - without);
        end.release(handle, bytes as u32);
        true
    }

    fn mark(&mut self, choices: &mut Choices<'_>, end: &mut dyn Api, ledger: &Ledger) {
        let place = choices.below(self.live.len() + 1);
        let stream = self.live.iter().nth(place);
        let stream = stream.map(|(&handle, live)| {
            let half = &ledger.streams[live.number].halves[writer(handle)];
            (handle, (live.number, half.written))
        });
        let handle = stream.map(|(handle, _)| handle);
        self.judge
            .marks
            .insert(self.next_mark, stream.map(|(_, it)| it));
        end.mark(handle, self.next_mark);
        self.next_mark += 1;
    }

    /// Lets everything be read. Returns whether that did anything.
    pub fn read_all(&mut self, end: &mut dyn Api, ledger: &mut Ledger) -> bool {
        self.is_paused = false;
        let mut acted = false;
        for live in self.live.values_mut() {
            live.is_paused = false;
        }
        for place in (0..self.live.len() + self.orphans.len()).rev() {
            acted |= self.release(place, u32::MAX.into(), end, ledger);
        }
        acted
    }

    /// Does all that is left to do so that every stream ends. Returns whether it did anything.
    pub fn wind_up(&mut self, end: &mut dyn Api, ledger: &mut Ledger, rules: &Rules) -> bool {
        let mut acted = self.read_all(end, ledger);
        while end.can_send() && self.answer(None, end, ledger, rules) {
            acted = true;
        }
        for handle in self.writable(end, ledger, rules) {
            if end.can_send() {
                let number = self.live[&handle].number;
                self.finish(handle, number, Finish::End(None), end, ledger);
                acted = true;
            }
        }
        acted
    }

    /// Whether everything it began is done.
    pub fn is_done(&self, end: &dyn Api) -> bool {
        self.live.is_empty()
            && self.judge.known.is_empty()
            && self.judge.news.is_empty()
            && self.orphans.is_empty()
            && self.judge.marks.is_empty()
            && self.judge.pings.is_empty()
            && end.is_flushed()
    }

    /// What holds it up, for a message.
    pub fn state(&self, end: &dyn Api) -> String {
        format!(
            "live {:?}\nknown {:?} news {:?} orphans {:?} marks {:?} pings {:?} flushed {}",
            self.live,
            self.judge.known,
            self.judge.news,
            self.orphans,
            self.judge.marks,
            self.judge.pings,
            end.is_flushed(),
        )
    }
}

impl Live {
    fn new(number: usize) -> Self {
        Self {
            number,
            is_open: false,
            is_unanswered: false,
            is_blocked: false,
            is_paused: false,
            held: 0,
        }
    }
}
