//! Calls over the network, each with all that can go wrong with it.

use serde_json::Value;

use super::{Cloud, Refusal, Shared};
use crate::faults::Fault;

/// What a call asks for. It is data, so that its effect may come late, or twice.
#[derive(Clone, Debug)]
pub enum Request {
    /// The first half of a thing. Whether what is there already is known to be meant: by its name, or by a token.
    Create { address: String, inputs: Value, is_known: bool },
    /// The second half.
    Finish { id: u64 },
    /// A change in place.
    Change { id: u64, inputs: Value },
    /// A deletion.
    Delete { id: u64 },
    /// What is somebody else's becomes ours, and as the inputs say.
    Adopt { id: u64, inputs: Value },
}

impl Shared {
    /// A look at the world over the network: it may be refused, and the process may be killed before it.
    pub async fn read<T>(
        &self,
        address: &str,
        look: impl FnOnce(&Cloud) -> Result<T, Refusal> + Send,
    ) -> Result<T, Refusal> {
        let answer = self.lock().answer_read(address, look);
        delivered(answer).await
    }

    /// A call that changes the world: its effect may also come late or twice, and its answer may be lost.
    pub async fn send(&self, address: &str, request: &Request) -> Result<(), Refusal> {
        let answer = self.lock().answer(address, request);
        delivered(answer).await
    }
}

/// Waits for an answer. A killed process has none, ever.
async fn delivered<T>(answer: Option<Result<T, Refusal>>) -> Result<T, Refusal> {
    let Some(answer) = answer else { return std::future::pending().await };
    // Others have their turn before the answer is there, and a request to stop is heard.
    tokio::task::yield_now().await;
    answer
}

/// How far a call gets.
enum Course {
    /// The process is dead.
    Nowhere,
    /// To a refusal.
    Refused(Refusal),
    /// To its effect, and what goes wrong then.
    Taken(Option<Fault>),
}

impl Cloud {
    fn answer_read<T>(
        &mut self,
        address: &str,
        look: impl FnOnce(&Self) -> Result<T, Refusal>,
    ) -> Option<Result<T, Refusal>> {
        match self.course(address, None) {
            Course::Nowhere => None,
            Course::Refused(refusal) => Some(Err(refusal)),
            Course::Taken(_) => Some(look(self)),
        }
    }

    fn answer(&mut self, address: &str, request: &Request) -> Option<Result<(), Refusal>> {
        let fault = match self.course(address, Some(request)) {
            Course::Nowhere => return None,
            Course::Refused(refusal) => return Some(Err(refusal)),
            Course::Taken(fault) => fault,
        };
        let is_late = matches!(fault, Some(Fault::Late | Fault::KillLate)) && !self.binds(request);
        let is_again = fault == Some(Fault::Twice) && !self.binds(request);
        if is_late || is_again {
            let arrival = self.clock + self.menu.lateness(&mut self.choices);
            self.late.push((arrival, request.clone()));
        }
        let answer = if is_late { Ok(()) } else { self.take(request) };
        match fault {
            Some(Fault::KillAfter | Fault::KillLate) => {
                let end = self.synchronised[1];
                self.kill([end, end]);
                None
            }
            Some(Fault::LostReply | Fault::Late) => Some(Err(Refusal::LostReply)),
            _ => Some(answer),
        }
    }

    /// Whether a request changes what a thing uses. That comes never late: from then on the order of deletions is another one,
    /// and no program can follow what it was told nothing of.
    fn binds(&self, request: &Request) -> bool {
        let Request::Change { id, inputs } = request else { return false };
        self.things.get(id).is_some_and(|thing| thing.inputs["uses"] != inputs["uses"])
    }

    /// The effect of a request.
    pub(super) fn take(&mut self, request: &Request) -> Result<(), Refusal> {
        match request {
            Request::Create { address, inputs, is_known } => self.create(address, inputs, *is_known),
            Request::Finish { id } => {
                self.finish(*id);
                Ok(())
            }
            Request::Change { id, inputs } => self.change(*id, inputs),
            Request::Delete { id } => self.delete(*id),
            Request::Adopt { id, inputs } => {
                self.adopt(*id, inputs);
                Ok(())
            }
        }
    }

    /// What comes of a call before it has an effect.
    fn course(&mut self, address: &str, request: Option<&Request>) -> Course {
        if self.killed {
            return Course::Nowhere;
        }
        let window = self.window();
        let fault = self.menu.fault(request.is_none(), &mut self.choices);
        self.tale.say(|| {
            let call = request.map_or_else(|| format!("Read {address}"), |request| format!("{address}: {request:?}"));
            format!("  {call} {}", fault.map_or(String::new(), |fault| format!("{fault:?}")))
        });
        match fault {
            Some(Fault::KillBefore) => {
                self.kill(window);
                return Course::Nowhere;
            }
            Some(Fault::RefuseForGood) => {
                self.refused.insert(address.to_owned());
            }
            Some(Fault::Drain) => {
                self.stop.press();
            }
            Some(Fault::Abandon) => {
                self.stop.press();
                self.stop.press();
            }
            _ => {}
        }
        match fault {
            Some(Fault::Throttle) => return Course::Refused(Refusal::Throttled),
            Some(Fault::Refuse) => return Course::Refused(Refusal::Unavailable),
            _ if request.is_some() && self.refused.contains(address) => return Course::Refused(Refusal::Unavailable),
            _ => {}
        }
        self.clock += 1;
        self.settle();
        Course::Taken(fault)
    }
}
