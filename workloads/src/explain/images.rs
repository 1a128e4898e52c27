use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use super::subject;
use crate::scene::{Cause, Scene, brief, newest_event};

/// Words of a registry that says no. Another try gets the same answer.
const REFUSED: [&str; 8] = [
    "not found",
    "manifest unknown",
    "name unknown",
    "does not exist",
    "pull access denied",
    "unauthorized",
    "authorization failed",
    "insufficient_scope",
];

/// What is said where a registry answers, but not well at this moment. The kubelet tries again after 10, 20 and 40 seconds.
const BROKEN: [&str; 7] = [
    "connection closed",
    "connection reset",
    "EOF",
    "429 Too Many Requests",
    "500 Internal Server Error",
    "502 Bad Gateway",
    "503 Service Unavailable",
];

/// Why an image is not there.
pub(super) fn unavailable(scene: &Scene, pod: &Pod, container: &ContainerStatus, reason: &str, message: &str) -> Cause {
    let subject = subject(pod);
    let image = &container.image;
    match reason {
        "InvalidImageName" => {
            let text = format!("{image} is not an image name");
            return Cause::lasts(&subject, reason, text, 1).hint("correct the image name");
        }
        "ErrImageNeverPull" => {
            let text = format!("{image} is not on the node, and imagePullPolicy is Never");
            return Cause::lasts(&subject, reason, text, 2).hint("deliver the image, or let it be pulled");
        }
        _ => {}
    }
    let told = pull_event(scene, pod).unwrap_or(message);
    let told = if message.contains("ErrImagePull: ") || told.is_empty() { message } else { told };
    let text = format!("{image}: {}", last_words(told));
    // The same cause from one state of the back-off to the other.
    if REFUSED.iter().any(|words| told.contains(words)) {
        return Cause::lasts(&subject, "ErrImagePull", text, 3)
            .hint("correct the image name, or add imagePullSecrets for its registry");
    }
    let hint = "the registry does not answer: see whether the nodes reach it, or build the image in the scenario";
    let seconds = if BROKEN.iter().any(|words| told.contains(words)) { 90 } else { 20 };
    Cause::heals_within(&subject, "ErrImagePull", text, seconds).hint(hint)
}

/// In a back-off the status may not repeat why; the event does.
fn pull_event<'a>(scene: &'a Scene, pod: &Pod) -> Option<&'a str> {
    let is_pull =
        |event: &Event| event.message.as_deref().is_some_and(|message| message.starts_with("Failed to pull image"));
    newest_event(&scene.events, pod.metadata.uid.as_deref(), is_pull)?.message.as_deref()
}

/// The end of a chain of causes, without the steps on the way there.
fn last_words(message: &str) -> String {
    let after_request = message.rsplit_once("failed to do request: ").map(|(_, rest)| rest);
    // `Head "https://...": the cause`
    let cause = after_request.and_then(|rest| rest.split_once("\": ").map(|(_, cause)| cause));
    let cause = cause.or_else(|| message.rsplit_once("\": ").map(|(_, cause)| cause));
    brief(cause.unwrap_or(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_cause_itself() {
        let lookup = "Back-off pulling image \"a.invalid/b:1\": ErrImagePull: failed to pull and unpack image \"a.invalid/b:1\": failed to \
            resolve reference \"a.invalid/b:1\": failed to do request: Head \"https://a.invalid/v2/b/manifests/1\": dial tcp: lookup \
            a.invalid on 10.0.0.1:53: no such host";
        assert_eq!(last_words(lookup), "dial tcp: lookup a.invalid on 10.0.0.1:53: no such host");
        let absent = "rpc error: code = NotFound desc = failed to pull and unpack image \"a/b:1\": failed to resolve reference \"a/b:1\": a/b:1: not found";
        assert_eq!(last_words(absent), "a/b:1: not found");
        assert_eq!(last_words("Back-off pulling"), "Back-off pulling");
    }
}
