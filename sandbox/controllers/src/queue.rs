//! The work queue of a controller: every key once, never twice at a time, later on failure.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The usual first pause after a failure.
pub const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A queue of keys to work on.
///
/// A key that is added while it is worked on is handed out again when that work is done.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    waiting: HashSet<K>,
    working: HashSet<K>,
    timers: BTreeMap<(Instant, u64), K>,
    timer_of: HashMap<K, (Instant, u64)>,
    timers_made: u64,
    failures: HashMap<K, u32>,
}

impl<K: Clone + Eq + Hash> Default for Queue<K> {
    fn default() -> Self {
        let state = State {
            ready: VecDeque::new(),
            waiting: HashSet::new(),
            working: HashSet::new(),
            timers: BTreeMap::new(),
            timer_of: HashMap::new(),
            timers_made: 0,
            failures: HashMap::new(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Asks for work on this key, at once.
    pub fn add(&self, key: K) {
        self.lock().add(key);
        self.changed.notify_one();
    }

    /// Asks for work on this key after a pause. Of several pauses, the one that ends first counts.
    pub fn add_after(&self, key: K, pause: Duration) {
        if pause.is_zero() {
            return self.add(key);
        }
        self.lock().add_at(key, Instant::now() + pause);
        self.changed.notify_one();
    }

    /// Asks for work on this key again after a failure. The first pause doubles with each further failure in a row.
    pub fn retry(&self, key: K, first: Duration) {
        let failures = {
            let mut state = self.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures += 1;
            *failures
        };
        self.add_after(key, pause_after(first, failures));
    }

    /// Forgets the failures of a key.
    pub fn forget(&self, key: &K) {
        self.lock().failures.remove(key);
    }

    /// The next key to work on. Safe to drop while it waits: no key is lost.
    pub async fn next(&self) -> K {
        loop {
            let changed = self.changed.notified();
            let next_timer = {
                let mut state = self.lock();
                state.fire(Instant::now());
                if let Some(key) = state.take() {
                    return key;
                }
                state.timers.first_key_value().map(|((at, _), _)| *at)
            };
            match next_timer {
                None => changed.await,
                Some(at) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
            }
        }
    }

    /// Ends the work on a key that [`Queue::next`] handed out.
    pub fn done(&self, key: &K) {
        let mut state = self.lock();
        state.working.remove(key);
        if state.waiting.contains(key) {
            state.ready.push_back(key.clone());
        }
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K) {
        if let Some(timer) = self.timer_of.remove(&key) {
            self.timers.remove(&timer);
        }
        if self.waiting.insert(key.clone()) && !self.working.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: K, at: Instant) {
        if let Some(timer) = self.timer_of.get(&key) {
            if timer.0 <= at {
                return;
            }
            self.timers.remove(timer);
        }
        self.timers_made += 1;
        let timer = (at, self.timers_made);
        self.timers.insert(timer, key.clone());
        self.timer_of.insert(key, timer);
    }

    fn fire(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let key = entry.remove();
            self.timer_of.remove(&key);
            self.add(key);
        }
    }

    fn take(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.waiting.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }
}

fn pause_after(first: Duration, failures: u32) -> Duration {
    let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).and_then(|times| first.checked_mul(times));
    doubled.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn next(queue: &Queue<&'static str>) -> Option<&'static str> {
        queue.next().now_or_never()
    }

    #[tokio::test]
    async fn a_key_that_is_added_twice_comes_once() {
        let queue = Queue::default();
        queue.add("a");
        queue.add("a");
        queue.add("b");
        assert_eq!([next(&queue), next(&queue), next(&queue)], [Some("a"), Some("b"), None]);
    }

    #[tokio::test]
    async fn a_key_is_never_worked_on_twice_at_a_time() {
        let queue = Queue::default();
        queue.add("a");
        assert_eq!(next(&queue), Some("a"));
        queue.add("a");
        assert_eq!(next(&queue), None);
        queue.done(&"a");
        assert_eq!(next(&queue), Some("a"));
        queue.done(&"a");
        assert_eq!(next(&queue), None);
    }

    #[tokio::test]
    async fn of_two_pauses_the_shorter_one_counts() {
        let queue = Queue::default();
        queue.add_after("a", Duration::from_hours(1));
        queue.add_after("a", Duration::from_millis(1));
        queue.add_after("a", Duration::from_hours(1));
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        assert_eq!(next(&queue), None);
    }

    #[tokio::test]
    async fn what_is_added_now_does_not_come_again_later() {
        let queue = Queue::default();
        queue.add_after("a", Duration::from_millis(1));
        queue.add("a");
        assert_eq!(next(&queue), Some("a"));
        queue.done(&"a");
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(next(&queue), None);
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        let pauses = [1, 2, 3, 40].map(|failures| pause_after(FIRST_PAUSE, failures));
        assert_eq!(pauses, [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4, LONGEST_PAUSE]);
    }
}
