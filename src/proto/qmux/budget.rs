//! Budgets for events that are harmless once and an attack a million times.
//!
//! A bucket holds as many tokens as may come at once, and gets as many each second.
//!
//! May not decide what a token is for.

use super::super::config::QmuxConfig;
use super::super::error::ProtocolError;
use std::time::Instant;

/// One budget.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    what: &'static str,
    size: u32,
    left: u32,
    filled: Option<Instant>,
}

impl Budget {
    /// A budget of `size` tokens. `what` names what the peer sent too many of, if they are used up.
    pub fn new(size: u32, what: &'static str) -> Self {
        Self {
            what,
            size,
            left: size,
            filled: None,
        }
    }

    /// Begins with the tokens that another budget has left, and gets more from now on.
    pub fn start_with(&mut self, left: u32, now: Instant) {
        self.left = left.min(self.size);
        self.filled = Some(now);
    }

    /// The number of tokens left, including those that the budget would get by now.
    pub fn left(&self, now: Instant) -> u32 {
        self.left.saturating_add(self.fresh(now)).min(self.size)
    }

    /// Takes a token.
    pub fn spend(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if self.left == 0 {
            self.fill(now);
        }
        self.filled.get_or_insert(now);
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(ProtocolError::Flood(self.what))?;
        Ok(())
    }

    /// Adds tokens, because something useful was done.
    pub fn earn(&mut self, tokens: u32) {
        self.left = self.left.saturating_add(tokens).min(self.size);
    }

    fn fill(&mut self, now: Instant) {
        let fresh = self.fresh(now);
        if fresh > 0 {
            self.left = fresh.min(self.size);
            self.filled = Some(now);
        }
    }

    fn fresh(&self, now: Instant) -> u32 {
        let Some(filled) = self.filled else { return 0 };
        let passed = now.saturating_duration_since(filled).as_millis();
        let fresh = passed.saturating_mul(self.size.into()) / 1000;
        u32::try_from(fresh).unwrap_or(u32::MAX)
    }
}

/// The budgets of one connection's peer. Each budget guards itself, so the fields are open.
#[derive(Debug)]
pub struct Budgets {
    pub resets: Budget,
    pub pings: Budget,
    pub empties: Budget,
    pub useless: Budget,
}

impl Budgets {
    pub fn new(config: &QmuxConfig) -> Self {
        Self {
            resets: Budget::new(config.max_resets, "resets"),
            pings: Budget::new(config.max_pings, "pings"),
            empties: Budget::new(config.max_empty_frames, "empty frames"),
            useless: Budget::new(config.max_useless_frames, "frames of no use"),
        }
    }

    /// A frame came. If it says nothing new, it is harmless, unless there are too many such frames.
    pub fn judge(&mut self, is_news: bool, now: Instant) -> Result<(), ProtocolError> {
        match is_news {
            true => Ok(()),
            false => self.useless.spend(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn so_many_at_once_and_so_many_each_second() {
        let mut budget = Budget::new(10, "pings");
        let now = Instant::now();
        let spend =
            |budget: &mut Budget, now| (0..100).take_while(|_| budget.spend(now).is_ok()).count();
        assert_eq!(spend(&mut budget, now), 10);
        assert_eq!(budget.spend(now), Err(ProtocolError::Flood("pings")));
        assert_eq!(spend(&mut budget, now + Duration::from_millis(500)), 5);
        assert_eq!(spend(&mut budget, now + Duration::from_secs(50)), 10);
        assert_eq!(spend(&mut Budget::new(0, "pings"), now), 0);
    }

    #[test]
    fn one_begins_where_another_ended() {
        let now = Instant::now();
        let mut budget = Budget::new(10, "resets");
        assert_eq!(budget.left(now), 10);
        budget.start_with(2, now);
        assert!(budget.spend(now).is_ok());
        assert_eq!(budget.left(now), 1);
        assert_eq!(budget.left(now + Duration::from_millis(500)), 6);
        assert!(budget.spend(now).is_ok());
        assert_eq!(budget.spend(now), Err(ProtocolError::Flood("resets")));
        let later = now + Duration::from_millis(300);
        let spent = (0..9).take_while(|_| budget.spend(later).is_ok()).count();
        assert_eq!(spent, 3, "it gets more from its beginning on");
    }
}
