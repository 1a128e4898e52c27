//! Ports of this machine that a cluster needs.

use engine::{Class, Failure};
use providers::ports::{self, Port};

/// Why a port of 127.0.0.1 cannot be had; nothing when it is free.
pub(crate) fn obstacle(port: u16) -> Option<String> {
    match ports::look(port) {
        Port::Free => None,
        Port::Unusable(reason) => Some(reason),
        Port::Taken(Some(holder)) => Some(format!("{holder} holds it")),
        Port::Taken(None) => Some("another program holds it".to_owned()),
    }
}

/// The failure of a cluster that cannot have a port.
pub(crate) fn failure(port: u16, reason: &str) -> Failure {
    let failure = Failure::from(format!("use port {port} of 127.0.0.1 for the cluster: {reason}"));
    let hint = "free the port, or give the Service another one with `local_ports` in the scenario";
    failure.class(Class::Missing).hint(hint).nothing_remains()
}
