//! JavaScript asks how much is queued at each moment of a task's turn: it finds that little is left, or is told so.

use super::Dice;
use super::network::{Net, Scripted};
use super::records::{Records, Told};
use crate::driver::boundary::{first_word, op};
use crate::driver::pump::task::Task;
use crate::driver::{Collector, Connection, ConnectionOptions, Inbox, command, testing};
use crate::proto::{Config, Handle, Protocol, Side};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

const LOW: usize = 100;

/// A turn that sends all there is, in the middle of which, at one of its moments, JavaScript asks. Returns whether there
/// is such a moment.
fn asks_at(moment: usize) -> bool {
    let dice = Dice::new(1);
    let net = Arc::new(Mutex::new(Net::smooth(&dice)));
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
        inbox.clone(),
        None,
        most_direct,
    );
    let (io, app) = Scripted::pair(&net, 0, &dice);
    connection.attach(app, true);
    let mut commands = testing::open(connection.id);
    command::put_data(&mut commands, connection.id, Handle::local(0), &[7; 5000]);
    assert_eq!(commands[..4], first_word(op::OPEN, 5).to_le_bytes());
    let (_, queued) = connection.submit(&commands, &mut Collector::default());
    assert!(queued > LOW as u64);
    // It was told once already, and waits for nothing: what is queued has grown since by itself.
    connection.counters.queue.tell(u64::MAX, queued);
    let answer = Rc::new(Cell::new(None));
    let (asked, count) = (connection.clone(), Cell::new(0));
    let result = answer.clone();
    testing::set_interlude(Some(Box::new(move || {
        if count.replace(count.get() + 1) == moment {
            result.set(Some(asked.queued_or_want_few()));
        }
    })));
    let turn = Task::new(&connection, io).turn();
    testing::set_interlude(None);
    assert!(matches!(turn, Ok(false)));
    let Some(answer) = answer.get() else {
        return false;
    };
    let mut told = Vec::new();
    Records::new(connection.id, &dice).take(&inbox, 100, &mut told);
    let drains = told.iter().filter(|told| matches!(told, Told::Drain));
    assert_eq!(drains.count(), usize::from(answer > LOW as u64), "{moment}");
    true
}

#[test]
fn whoever_asks_in_the_middle_of_a_turn_finds_little_or_is_told() {
    let moments = (0..).take_while(|&moment| asks_at(moment)).count();
    assert!(moments > 5, "{moments}");
}
