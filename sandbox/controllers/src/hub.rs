//! Where all controllers meet: the index of all objects, their queues, and their way to the server.

use crate::events::Recorder;
use crate::index::{Change, Id, Index};
use crate::meta;
use crate::queue::{FIRST_PAUSE, Queue};
use apiserver::{Api, Changes, DeleteOptions, ListOptions, Status, User, WriteOptions};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use kinds::Resource;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How often a status is written again in one go before the key goes back to the queue.
const MOST_ROUNDS: usize = 8;

/// A controller: which keys a change wakes, and what is to be done for a key.
pub trait Controller: Send + Sync + 'static {
    /// Wakes the keys that a change concerns. Runs under the index's lock: short and without waiting.
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration));

    /// Brings the world nearer to what the object of this key asks for. Answers when to look again.
    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>>;

    /// How many keys are worked on at a time.
    fn most_at_a_time(&self) -> usize {
        16
    }

    /// The pause after the first failure of a key.
    fn first_pause(&self) -> Duration {
        FIRST_PAUSE
    }
}

/// The clock that controllers read.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Wakes a key at once.
pub const NOW: Duration = Duration::ZERO;

/// Who writes.
#[derive(Debug)]
pub struct Writers {
    /// All controllers but the scheduler.
    pub manager: User,
    /// The scheduler.
    pub scheduler: User,
}

/// The controllers' common ground.
pub struct Hub {
    api: Api,
    index: Mutex<Index>,
    posts: Vec<Post>,
    clock: Clock,
    /// Who writes.
    pub writers: Writers,
    /// Tells events.
    pub recorder: Recorder,
}

struct Post {
    controller: Arc<dyn Controller>,
    queue: Queue<Id>,
}

impl Hub {
    /// With these controllers; nothing runs yet.
    pub fn new(api: Api, controllers: Vec<Arc<dyn Controller>>, clock: Clock, recorder: Recorder) -> Self {
        let posts = controllers.into_iter().map(|controller| Post { controller, queue: Queue::default() }).collect();
        let writers =
            Writers { manager: User::system("kube-controller-manager"), scheduler: User::system("kube-scheduler") };
        Self { api, index: Mutex::default(), posts, clock, writers, recorder }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Reads the index.
    pub fn look<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index())
    }

    /// The object, as the index has it.
    pub fn get(&self, id: &Id) -> Option<Arc<Value>> {
        self.index().get(id).cloned()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the present state of an object and wakes whom it concerns.
    pub fn observe(&self, id: &Id) {
        let mut index = self.index();
        let present = self.api.get(id.resource, &id.namespace, &id.name).ok();
        if let Some(change) = index.take_in(id, present) {
            self.route(&index, &change);
        }
    }

    fn route(&self, index: &Index, change: &Change) {
        for post in &self.posts {
            post.controller.route(index, change, &mut |key, pause| post.queue.add_after(key, pause));
        }
    }

    /// Takes in everything there is and wakes whom the differences concern.
    pub fn observe_all(&self) {
        let mut index = self.index();
        let mut ids: BTreeSet<Id> = index.ids().into_iter().collect();
        for resource in kinds::all().iter().filter(|resource| is_followed(resource)) {
            let items = self.api.list(resource, None, &ListOptions::default()).map(|list| list.items);
            ids.extend(items.unwrap_or_default().iter().map(|object| Id::of(resource, object)));
        }
        let mut changes = Vec::new();
        for id in ids {
            let present = self.api.get(id.resource, &id.namespace, &id.name).ok();
            changes.extend(index.take_in(&id, present));
        }
        for change in &changes {
            self.route(&index, change);
        }
    }

    /// Follows all changes for ever.
    pub async fn follow(&self, mut changes: Changes) {
        loop {
            match changes.recv().await {
                Ok(event) if is_followed(event.resource) => {
                    let id = Id { resource: event.resource, namespace: event.namespace, name: event.name };
                    self.observe(&id);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.observe_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Works for one controller for ever.
    pub async fn work(&self, post: usize) {
        let Some(Post { controller, queue }) = self.posts.get(post) else { return };
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                key = queue.next(), if running.len() < controller.most_at_a_time() => {
                    running.push(async move {
                        let done = controller.sync(self, &key).await;
                        (key, done)
                    });
                }
                Some((key, done)) = running.next(), if !running.is_empty() => settle(queue, key, &done, controller.first_pause()),
            }
        }
    }

    /// How many controllers there are.
    pub fn posts(&self) -> usize {
        self.posts.len()
    }

    /// Wakes a key of every controller that is concerned, as if the object had changed.
    pub fn wake(&self, id: &Id) {
        let index = self.index();
        if let Some(object) = index.get(id).cloned() {
            self.route(&index, &Change { id: id.clone(), old: Some(object.clone()), new: Some(object) });
        }
    }

    /// Creates an object.
    pub async fn create(&self, resource: &'static Resource, object: Value) -> Result<Arc<Value>, Status> {
        let namespace = meta::namespace(&object).to_owned();
        let (by, options) = (&self.writers.manager, WriteOptions::default());
        let created = self.api.create(by, resource, &namespace, object, &options).await?;
        self.observe(&Id::of(resource, &created));
        Ok(created)
    }

    /// Replaces an object or a part of it, if nobody has changed it meanwhile.
    pub async fn replace(
        &self,
        resource: &'static Resource,
        subresource: Option<&str>,
        object: Value,
    ) -> Result<Arc<Value>, Status> {
        let id = Id::of(resource, &object);
        let (by, options) = (&self.writers.manager, WriteOptions::default());
        let written = self.api.update(by, resource, subresource, (&id.namespace, &id.name), object, &options).await;
        self.observe(&id);
        written
    }

    /// Reads, changes and writes an object with nobody in between.
    pub async fn modify(
        &self,
        by: &User,
        id: &Id,
        subresource: Option<&str>,
        change: impl FnMut(&mut Value) -> bool,
    ) -> Result<Arc<Value>, Status> {
        let written = self.api.modify(by, id.resource, subresource, (&id.namespace, &id.name), change).await;
        self.observe(id);
        written
    }

    /// Deletes an object. That it is gone already is fine.
    pub async fn delete(&self, id: &Id, options: &DeleteOptions) -> Result<(), Status> {
        let place = (&*id.namespace, &*id.name);
        let deleted = self.api.delete(&self.writers.manager, id.resource, place, options).await;
        self.observe(id);
        match deleted {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    /// The server itself.
    pub fn api(&self) -> &Api {
        &self.api
    }
}

fn settle(queue: &Queue<Id>, key: Id, done: &Result<Option<Duration>, Status>, first: Duration) {
    queue.done(&key);
    match done {
        Ok(again) => {
            queue.forget(&key);
            if let Some(pause) = again {
                queue.add_after(key, (*pause).max(Duration::from_millis(1)));
            }
        }
        Err(_) => queue.retry(key, first),
    }
}

/// Whether objects of this resource are kept in the index.
fn is_followed(resource: &'static Resource) -> bool {
    resource.can("list")
}

/// Decides and acts until there is nothing left to do, or for now has been enough done.
pub async fn rounds<F>(mut round: impl FnMut() -> F) -> Result<Option<Duration>, Status>
where
    F: Future<Output = Result<Round, Status>>,
{
    for _ in 0..MOST_ROUNDS {
        match round().await? {
            Round::Done(again) => return Ok(again),
            Round::More => {}
        }
    }
    Ok(Some(NOW))
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// There is nothing left to do until then.
    Done(Option<Duration>),
    /// Something was written: look again.
    More,
}
