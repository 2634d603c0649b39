//! JavaScript asks how much is queued at each moment of a task's turn, and of each step of that which tells of a queue that
//! has drained: it finds that little is left, or is told so.

use super::Dice;
use super::network::{Net, Scripted};
use super::records::{Records, Told};
use crate::driver::boundary::{first_word, op};
use crate::driver::link::Step;
use crate::driver::pump::task::Task;
use crate::driver::{Collector, Connection, ConnectionOptions, Inbox, clock, command, testing};
use crate::proto::{Config, Handle, Protocol, Side};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

const LOW: usize = 100;

/// A connection with some bytes queued, and with nobody who waits for them to become few.
fn filled() -> Arc<Connection> {
    let options = ConnectionOptions {
        protocol: Config {
            protocol: Protocol::Legacy,
            peer_new: true,
            ..Config::default()
        },
        low_water: LOW,
        ..ConnectionOptions::default()
    };
    let inbox = Arc::new(Inbox::new(|| {}));
    // JavaScript's thread sends nothing itself.
    let most_direct = 0;
    let connection = Connection::new(
        5,
        Side::Connecting,
        options,
        [0; 8],
        inbox,
        None,
        most_direct,
    );
    let mut commands = testing::open(connection.id);
    command::put_data(&mut commands, connection.id, Handle::local(0), &[7; 5000]);
    assert_eq!(commands[..4], first_word(op::OPEN, 5).to_le_bytes());
    let (_, queued) = connection.submit(&commands, &mut Collector::default());
    assert!(queued > LOW as u64);
    // JavaScript was told once already, and waits for nothing: what is queued has grown since by itself.
    connection.counters.queue.tell(u64::MAX, queued);
    connection
}

/// Works on a connection, in the middle of which, at one of its moments, JavaScript asks. Returns what it found, if there is
/// such a moment.
fn ask_at(moment: usize, connection: &Arc<Connection>, work: impl FnOnce()) -> Option<u64> {
    let answer = Rc::new(Cell::new(None));
    let (asked, count) = (connection.clone(), Cell::new(0));
    let result = answer.clone();
    testing::set_interlude(Some(Box::new(move || {
        if count.replace(count.get() + 1) == moment {
            result.set(Some(asked.queued_or_want_few()));
        }
    })));
    work();
    testing::set_interlude(None);
    answer.get()
}

/// A turn that sends all there is. Returns whether it has such a moment.
fn asks_in_turn_at(moment: usize) -> bool {
    let dice = Dice::new(1);
    let net = Arc::new(Mutex::new(Net::smooth(&dice)));
    let connection = filled();
    let (io, app) = Scripted::pair(&net, 0, &dice);
    connection.attach(app, true, None);
    let turn = || assert!(matches!(Task::new(&connection, io).turn(), Ok(false)));
    let Some(answer) = ask_at(moment, &connection, turn) else {
        return false;
    };
    let mut told = Vec::new();
    Records::new(connection.id, &dice).take(&connection.inbox, 100, &mut told);
    let drains = told.iter().filter(|told| matches!(told, Told::Drain));
    assert_eq!(drains.count(), usize::from(answer > LOW as u64), "{moment}");
    true
}

/// One step of a turn, behind bytes that were sent: no other step may be needed to make up for it. Returns whether it has
/// such a moment.
fn asks_in_step_at(moment: usize) -> bool {
    let connection = filled();
    let mut collector = Collector::default();
    let mut guarded = connection.lock();
    let now = clock::now();
    let Step::Send(transmit) = guarded.link.next(false, now, &mut collector) else {
        panic!("something is queued");
    };
    let all = transmit.len();
    assert!(guarded.link.sent(transmit, all, now, &mut collector));
    let step = || connection.tell_drained(&guarded.link, &mut collector);
    let Some(answer) = ask_at(moment, &connection, step) else {
        return false;
    };
    assert!(answer <= LOW as u64 || !collector.is_empty(), "{answer}");
    true
}

#[test]
fn whoever_asks_in_the_middle_of_a_turn_finds_little_or_is_told() {
    let moments = (0..).take_while(|&moment| asks_in_turn_at(moment)).count();
    assert!(moments > 5, "{moments}");
}

#[test]
fn whoever_asks_in_the_middle_of_a_step_finds_little_or_is_told() {
    assert!(asks_in_step_at(0) && !asks_in_step_at(1));
}
