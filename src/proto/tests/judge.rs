//! Judges what a session emits, at once and whatever the application does about it later: only of streams that live, in
//! an order that makes sense, with the bytes that were written, and within the windows.

use super::ledger::{Answer, Finish, Half, Ledger, Stream};
use super::pair::{End, Seen};
use super::proto::*;
use std::collections::{BTreeMap, VecDeque};

/// Streams of one end that may live at once when it may write to one before it is accepted: on the legacy wire all
/// of both ends must have an id then.
pub const EARLY_CAP: usize = 100;

/// What holds for a connection.
#[derive(Clone, Debug)]
pub struct Rules {
    /// It never leaves the legacy wire.
    pub legacy: bool,
    /// Longest write of each end that arrives in one piece.
    pub whole: [usize; 2],
    /// What each end may have received and not consumed.
    pub stream_window: [u64; 2],
    pub connection_window: [u64; 2],
    pub max_held: [u64; 2],
    /// Streams of the other end's that may live.
    pub max_incoming: [u64; 2],
    /// Streams that each end keeps open at once.
    pub cap: usize,
    /// Whether an application may open before the peer has spoken.
    pub opens_first: [bool; 2],
    /// Longest write, meta and end value.
    pub longest: usize,
    /// Commands are executed later than they are given, so events cross them.
    pub is_late: bool,
}

/// Something to react to.
#[derive(Debug)]
pub enum News {
    Stream(Handle, usize),
    Opened(Handle),
    /// So many bytes, and whether they came under credit.
    Data(Handle, usize, bool),
    SendingOver(usize, usize),
    Failed(usize),
    Blocked(Handle, bool),
    GoAway,
    Closed(Handle),
    Credit(Option<Handle>),
}

/// Which half of a stream the holder of its handle writes.
pub fn writer(stream: Handle) -> usize {
    usize::from(!stream.is_local())
}

/// What is known of one end.
#[derive(Debug)]
pub struct Judge {
    side: usize,
    /// The streams whose `Closed` the session has not emitted.
    pub known: BTreeMap<Handle, usize>,
    /// What the application has not reacted to.
    pub news: VecDeque<News>,
    last_announced: Option<usize>,
    wires: Wires,
    /// Asked for and not answered.
    pub pings: VecDeque<u32>,
    pub marks: BTreeMap<u32, Option<(usize, u64)>>,
    in_window: u64,
    /// What the application holds.
    pub held: u64,
    /// How often there was each kind of event.
    pub tally: BTreeMap<&'static str, u64>,
}

impl Judge {
    pub fn new(side: usize) -> Self {
        Self {
            side,
            known: BTreeMap::new(),
            news: VecDeque::new(),
            last_announced: None,
            wires: Wires::default(),
            pings: VecDeque::new(),
            marks: BTreeMap::new(),
            in_window: 0,
            held: 0,
            tally: BTreeMap::new(),
        }
    }

    /// Judges what the session has emitted. `sent` bytes have gone to the transport so far.
    pub fn absorb(&mut self, end: &mut End, ledger: &mut Ledger, rules: &Rules, sent: u64) {
        for event in end.seen_unanswered() {
            self.see(event, ledger, rules, sent);
        }
    }

    /// Judges one event.
    pub fn see(&mut self, event: Seen, ledger: &mut Ledger, rules: &Rules, sent: u64) {
        *self.tally.entry(event.kind()).or_default() += 1;
        if let Some(news) = self.judge(event, ledger, rules, sent) {
            self.news.push_back(news);
        }
    }

    fn number(&self, stream: Handle) -> usize {
        *self
            .known
            .get(&stream)
            .unwrap_or_else(|| panic!("an event of {stream:?}, which does not live"))
    }

    fn judge(
        &mut self,
        event: Seen,
        ledger: &mut Ledger,
        rules: &Rules,
        sent: u64,
    ) -> Option<News> {
        Some(match event {
            Seen::Stream(handle, _, meta) => {
                let number = ledger.announce(&meta);
                assert!(!handle.is_local() && ledger.streams[number].opener != self.side);
                assert!(self.last_announced < Some(number), "out of order");
                self.last_announced = Some(number);
                assert!(!ledger.streams[number].saw_failed, "it was never served");
                let taken = self.known.insert(handle, number);
                assert_eq!(taken, None, "{handle:?} is in use");
                let live = self.known.keys().filter(|it| !it.is_local()).count();
                let limit = rules.max_incoming[self.side];
                assert!(rules.legacy || live as u64 <= limit, "{live} of {limit}");
                News::Stream(handle, number)
            }
            Seen::Opened(handle, _) => {
                let stream = &mut ledger.streams[self.number(handle)];
                assert!(handle.is_local() && !stream.saw_opened && !stream.saw_failed);
                let accepted = match stream.answer {
                    Some(Answer::Accepted) => true,
                    Some(Answer::Refused(_)) => rules.legacy,
                    None => false,
                };
                assert!(accepted, "nobody accepted it");
                stream.saw_opened = true;
                News::Opened(handle)
            }
            Seen::Data(handle, bytes) => {
                let number = self.number(handle);
                let credited = self.see_data(number, 1 - writer(handle), &bytes, ledger, rules);
                News::Data(handle, bytes.len(), credited)
            }
            Seen::Json(..) => panic!("nobody sends JSON data"),
            Seen::End(handle, value) => {
                let stream = &mut ledger.streams[self.number(handle)];
                let half = &mut stream.halves[1 - writer(handle)];
                half.crossing(rules.is_late, |half| half.see_end(value, rules.legacy));
                return None;
            }
            Seen::Reset(handle, code) => {
                assert!(!rules.legacy);
                let number = self.number(handle);
                let stream = &mut ledger.streams[number];
                stream.halves[1 - writer(handle)].see_reset(code);
                return None;
            }
            Seen::Stopped(handle, code) => {
                let number = self.number(handle);
                let half = &ledger.streams[number].halves[writer(handle)];
                if rules.legacy {
                    // It carries no code, and the writer still has to end its half.
                    assert!(half.stop.is_some() && code == 0, "nobody stopped it");
                    return None;
                }
                assert_eq!(half.stop, Some(code), "nobody stopped it with that");
                News::SendingOver(number, writer(handle))
            }
            Seen::Refused(handle, code) => {
                let number = self.number(handle);
                let stream = &mut ledger.streams[number];
                assert!(handle.is_local() && !stream.saw_opened && !rules.legacy);
                // An opener that gives up before anybody knows of the stream hears itself.
                let out = &stream.halves[0];
                let refused = stream.answer == Some(Answer::Refused(code))
                    || (out.finish == Some(Finish::Reset(code)) && !stream.is_announced);
                assert!(refused, "nobody refused it: {stream:?}");
                stream.saw_failed = true;
                News::Failed(number)
            }
            Seen::GoAway(Some(handle)) => {
                let number = self.number(handle);
                let stream = &mut ledger.streams[number];
                assert!(handle.is_local() && !stream.is_announced && !rules.legacy);
                stream.saw_failed = true;
                News::Failed(number)
            }
            Seen::GoAway(None) => News::GoAway,
            Seen::Closed(handle) => {
                let number = self.number(handle);
                self.known.remove(&handle);
                let stream = &mut ledger.streams[number];
                assert!(!stream.closed[self.side]);
                stream.closed[self.side] = true;
                assert!(
                    may_close(stream, handle, rules.legacy),
                    "closed too early: {stream:?}"
                );
                News::Closed(handle)
            }
            Seen::Mark(id) => {
                let mark = self.marks.remove(&id).expect("a mark that was asked for");
                if let Some((number, written)) = mark {
                    let stream = &ledger.streams[number];
                    let half = &stream.halves[usize::from(stream.opener != self.side)];
                    let given_up = matches!(half.finish, Some(Finish::Reset(_)))
                        || half.stop.is_some()
                        || stream.saw_failed;
                    assert!(
                        given_up || never_began(stream) || sent >= written,
                        "a mark came too early: {sent} of {written} on {stream:?}"
                    );
                }
                return None;
            }
            Seen::Pong(id, _) => {
                assert_eq!(self.pings.pop_front(), Some(id), "pings come back in order");
                return None;
            }
            Seen::Peer(_) => return None,
            Seen::Wires(wires) => {
                assert!(!rules.legacy && !wires.foreign);
                assert!(wires.sending >= self.wires.sending);
                assert!(wires.receiving >= self.wires.receiving);
                self.wires = wires;
                return None;
            }
            Seen::Unread(handle) => {
                let stream = &mut ledger.streams[self.number(handle)];
                assert!(!handle.is_local() && !rules.legacy);
                assert!(
                    stream.is_unread && !std::mem::replace(&mut stream.saw_unread, true),
                    "its opener did not say so"
                );
                return None;
            }
            Seen::Blocked(handle) => {
                self.number(handle);
                News::Blocked(handle, true)
            }
            Seen::Unblocked(handle) => {
                self.number(handle);
                News::Blocked(handle, false)
            }
            Seen::Credit(stream) => {
                if let Some(handle) = stream {
                    self.number(handle);
                }
                News::Credit(stream)
            }
        })
    }

    /// Returns whether they came under credit.
    fn see_data(
        &mut self,
        number: usize,
        half: usize,
        bytes: &[u8],
        ledger: &mut Ledger,
        rules: &Rules,
    ) -> bool {
        let half = &mut ledger.streams[number].halves[half];
        let is_early = half.is_early();
        let whole = rules.whole[1 - self.side];
        half.crossing(rules.is_late, |half| half.see(bytes, whole));
        if !self.wires.receiving || is_early {
            return false;
        }
        half.in_window += bytes.len() as u64;
        self.in_window += bytes.len() as u64;
        let window = half.in_window;
        let limit = rules.stream_window[self.side];
        assert!(
            window <= limit,
            "stream window exceeded: {window} of {limit}"
        );
        let limit = rules.connection_window[self.side] + self.held.min(rules.max_held[self.side]);
        let total = self.in_window;
        // What waited for a place of its stream was credited back while it did.
        let may_have_waited = rules.max_incoming[self.side] < 256;
        assert!(
            total <= limit || may_have_waited,
            "window exceeded: {total} of {limit}"
        );
        true
    }

    /// The application has consumed what it was given under credit.
    pub fn consume(&mut self, half: &mut Half, bytes: u64) {
        half.in_window -= bytes;
        self.in_window -= bytes;
    }
}

/// What must have become of the streams when all is done.
pub fn judge_streams(ledger: &Ledger, rules: &Rules) {
    for (number, stream) in ledger.streams.iter().enumerate() {
        assert!(stream.closed[stream.opener]);
        if !stream.is_announced {
            assert!(
                stream.saw_failed || never_began(stream) || rules.legacy,
                "stream {number} was never announced: {stream:?}"
            );
            continue;
        }
        assert!(stream.closed[1 - stream.opener]);
        for half in &stream.halves[..if rules.legacy { 1 } else { 2 }] {
            let given_up = half.stop.is_some() || stream.saw_failed;
            assert!(half.saw_finish || given_up, "stream {number}: {half:?}");
        }
    }
}

/// Whether both halves are over, as the end that holds `handle` can know.
fn may_close(stream: &Stream, handle: Handle, legacy: bool) -> bool {
    let [out, back] = &stream.halves;
    let (ours, theirs) = match handle.is_local() {
        true => (out, back),
        false => (back, out),
    };
    let received = theirs.saw_finish || theirs.stop.is_some();
    // Told to stop, the session gives its half up by itself.
    let sent = ours.is_over || ours.stop.is_some();
    match (legacy, handle.is_local()) {
        (true, true) => sent,
        (true, false) => received,
        (false, _) => stream.saw_failed || never_began(stream) || (received && sent),
    }
}

/// Whether the opener changed its mind before the stream began, with nothing to be said on it.
fn never_began(stream: &Stream) -> bool {
    let out = &stream.halves[0];
    let nothing_to_say = match &out.finish {
        Some(Finish::Reset(_)) => true,
        Some(Finish::End(value)) => out.written == 0 && value.is_none(),
        None => false,
    };
    !stream.is_announced && stream.ended_early && nothing_to_say
}
