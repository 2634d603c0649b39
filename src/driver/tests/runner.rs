//! One end's task, polled by hand: it serves the connection, and lingers then.

use super::network::Scripted;
use crate::driver::link::farewell::Linger;
use crate::driver::pump::linger::{Finishing, PATIENCE, hear};
use crate::driver::pump::task::serve;
use crate::driver::{Connection, clock};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

type Serving = Pin<Box<dyn Future<Output = (Scripted, Option<Linger>)>>>;

/// The task of one end.
pub enum Runner {
    Serving(Serving),
    Undecided(Scripted, Linger, Instant),
    Finishing(Scripted, Finishing, Instant),
    Over,
}

impl Runner {
    pub fn new(connection: &Arc<Connection>, io: Scripted) -> Self {
        let connection = connection.clone();
        Self::Serving(Box::pin(async move { serve(&connection, io).await }))
    }

    /// Runs it once.
    pub fn poll(&mut self) {
        let now = clock::now();
        let next = match std::mem::replace(self, Self::Over) {
            Self::Serving(mut serving) => {
                let mut context = Context::from_waker(Waker::noop());
                let poll = || serving.as_mut().poll(&mut context);
                match catch_unwind(AssertUnwindSafe(poll)) {
                    Ok(Poll::Pending) => Self::Serving(serving),
                    Ok(Poll::Ready((io, lingers))) => match lingers {
                        Some(Linger::Decided(rest, halves)) => {
                            Self::Finishing(io, Finishing::new(rest, halves), now)
                        }
                        Some(linger) => Self::Undecided(io, linger, now),
                        None => Self::Over,
                    },
                    // The runtime drops a task that panics.
                    Err(_) => Self::Over,
                }
            }
            Self::Undecided(io, mut linger, since) => match hear(&io, &mut linger) {
                Ok(true) => match linger {
                    Linger::Decided(rest, halves) => {
                        Self::Finishing(io, Finishing::new(rest, halves), now)
                    }
                    linger => Self::Undecided(io, linger, since),
                },
                Ok(false) if now < since + PATIENCE => Self::Undecided(io, linger, since),
                _ => Self::Over,
            },
            Self::Finishing(io, mut finishing, since) => match finishing.turn(&io) {
                Ok(Some(_)) if now < since + PATIENCE => Self::Finishing(io, finishing, since),
                _ => Self::Over,
            },
            Self::Over => Self::Over,
        };
        *self = next;
    }

    pub fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// When a lingering task gives up.
    pub fn due(&self) -> Option<Instant> {
        match self {
            Self::Undecided(.., since) | Self::Finishing(.., since) => Some(*since + PATIENCE),
            Self::Serving(_) | Self::Over => None,
        }
    }

    /// The process is gone.
    pub fn kill(&mut self) {
        *self = Self::Over;
    }
}
