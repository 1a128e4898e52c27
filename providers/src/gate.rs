//! How many calls one API gets at once: a bound that its answers move.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What a throttled call leaves of the bound.
const LEFT: f64 = 0.7;

/// A bound on the calls that are under way to one API at once. A clone is another handle on the same bound.
///
/// It begins at its most. A call that is throttled lowers it at once: to 0.7 of what it was, once for all the calls that were
/// let in before, and to what is still under way, which the API did take. While calls wait for room, every other answer raises it
/// again, by about one for as many answers as it allows calls. So it stays near what the API takes, and follows it up and down.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: f64,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    bound: f64,
    under_way: usize,
    /// How many calls wait for room: the bound is raised only while more is wanted than it allows.
    waiting: usize,
    /// How often the bound was lowered: calls let in before the last time say nothing about it any more.
    lowered: u64,
    closed_until: Option<Instant>,
}

/// One call that is let in; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Gate,
    lowered: u64,
}

/// A call that waits for room, until this is dropped.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn new(gate: &'a Gate) -> Self {
        gate.state().waiting += 1;
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl Gate {
    /// A gate that lets in at most so many calls at once, and at least one.
    pub fn new(most: u32) -> Self {
        let most = f64::from(most.max(1));
        let state = State { bound: most, under_way: 0, waiting: 0, lowered: 0, closed_until: None };
        Self(Arc::new(Shared { most, state: Mutex::new(state), freed: Notify::new() }))
    }

    /// How many calls are let in at once now.
    pub fn bound(&self) -> usize {
        self.state().allowed()
    }

    /// Waits until there is room for one more call, and for the pause that the API asked for.
    pub(crate) async fn enter(&self) -> Pass {
        let pass = match self.try_enter() {
            Some(pass) => pass,
            None => self.wait_for_room().await,
        };
        let closed_until = self.state().closed_until;
        if let Some(until) = closed_until {
            sleep_until(until).await;
        }
        pass
    }

    async fn wait_for_room(&self) -> Pass {
        let _waiting = Waiting::new(self);
        loop {
            self.0.freed.notified().await;
            if let Some(pass) = self.try_enter() {
                return pass;
            }
        }
    }

    fn try_enter(&self) -> Option<Pass> {
        let mut state = self.state();
        if state.under_way >= state.allowed() {
            return None;
        }
        state.under_way += 1;
        if state.under_way < state.allowed() {
            // Where the bound grew, one freed place lets in more than one.
            self.0.freed.notify_one();
        }
        Some(Pass { gate: self.clone(), lowered: state.lowered })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic while the lock is held")
    }
}

impl State {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a u32")]
    fn allowed(&self) -> usize {
        self.bound as usize
    }
}

impl Pass {
    /// The API took the call, whatever it answered.
    pub(crate) fn taken(self) {
        let mut state = self.gate.state();
        if state.lowered == self.lowered && state.waiting > 0 {
            state.bound = (state.bound + 1.0 / state.bound).min(self.gate.0.most);
        }
    }

    /// The API refused the call because there are too many, and asks for this pause.
    pub(crate) fn throttled(self, pause: Option<Duration>) {
        let mut state = self.gate.state();
        if state.lowered == self.lowered {
            state.bound *= LEFT;
            state.lowered += 1;
        }
        let others = u32::try_from(state.under_way - 1).unwrap_or(u32::MAX);
        state.bound = state.bound.min(f64::from(others)).max(1.0);
        state.closed_until = state.closed_until.max(pause.map(|pause| Instant::now() + pause));
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.state().under_way -= 1;
        self.gate.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::future::join_all;

    use super::*;
    use crate::retry::{Policy, Verdict, retry_through};

    const CALL: Duration = Duration::from_millis(100);
    const POLICY: Policy =
        Policy { attempts: 8, first_delay: Duration::from_millis(50), max_delay: Duration::from_secs(1) };

    /// An API that refuses, at once, what is more than `limit` at a time.
    struct Api {
        limit: Cell<u32>,
        under_way: Cell<u32>,
        refused: Cell<u32>,
    }

    impl Api {
        fn new(limit: u32) -> Self {
            Self { limit: Cell::new(limit), under_way: Cell::new(0), refused: Cell::new(0) }
        }

        async fn call(&self) -> Result<(), ()> {
            if self.under_way.get() >= self.limit.get() {
                self.refused.set(self.refused.get() + 1);
                return Err(());
            }
            self.under_way.set(self.under_way.get() + 1);
            tokio::time::sleep(CALL).await;
            self.under_way.set(self.under_way.get() - 1);
            Ok(())
        }

        /// Makes so many calls through the gate; returns how many failed in the end, and how long it all took.
        async fn calls(&self, gate: &Gate, count: usize) -> (usize, Duration) {
            let began = Instant::now();
            let throttled = |(): &()| Verdict::Throttled(None);
            let each = (0..count).map(|_| retry_through(gate, &POLICY, throttled, || self.call()));
            (join_all(each).await.iter().filter(|result| result.is_err()).count(), began.elapsed())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_that_throttles_gets_what_it_takes_and_few_calls_are_wasted() {
        let (api, gate) = (Api::new(8), Gate::new(64));
        let (failed, time) = api.calls(&gate, 1000).await;
        assert_eq!(failed, 0);
        let best = CALL * 1000 / 8;
        assert!(time < best * 3 / 2, "{time:?} of at best {best:?}");
        // 56 are the ones of the first moment, when nothing is known.
        assert!(api.refused.get() < 150, "{} wasted", api.refused.get());
        assert!(gate.bound() <= 9, "{}", gate.bound());
    }

    #[tokio::test(start_paused = true)]
    async fn throughput_comes_back_when_the_api_takes_more() {
        let (api, gate) = (Api::new(4), Gate::new(32));
        assert_eq!(api.calls(&gate, 200).await.0, 0);
        assert!(gate.bound() <= 5, "{}", gate.bound());
        api.limit.set(1000);
        assert_eq!(api.calls(&gate, 2000).await.0, 0);
        assert_eq!(gate.bound(), 32);
        let (_, time) = api.calls(&gate, 320).await;
        assert_eq!(time.as_millis().div_euclid(CALL.as_millis()), 10, "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_that_does_not_throttle_is_not_held_back() {
        let (api, gate) = (Api::new(1000), Gate::new(50));
        let (_, time) = api.calls(&gate, 500).await;
        assert_eq!((api.refused.get(), gate.bound()), (0, 50));
        assert_eq!(time.as_millis().div_euclid(CALL.as_millis()), 10, "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_calls_during_the_pause_that_the_api_asked_for() {
        let (gate, began) = (Gate::new(4), Instant::now());
        gate.enter().await.throttled(Some(Duration::from_secs(3)));
        gate.enter().await.taken();
        assert!(began.elapsed() >= Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_abandoned_frees_its_place() {
        let gate = Gate::new(1);
        let pass = gate.enter().await;
        assert!(tokio::time::timeout(CALL, gate.enter()).await.is_err(), "there is one place only");
        drop(pass);
        assert!(tokio::time::timeout(CALL, gate.enter()).await.is_ok());
    }
}
