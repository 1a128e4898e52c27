//! Logs of a container, as plain text that may go on.

use std::sync::Arc;

use futures::TryStreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use kinds::Cause;
use serde_json::Value;

use super::query::Query;
use super::{Body, LogOptions, PodStreams, container, empty};
use crate::status::quoted;
use crate::{Details, Status};

/// Answers with the log that the query asks for.
pub(crate) async fn serve(streams: &Arc<dyn PodStreams>, pod: &Value, query: &Query) -> Result<Response<Body>, Status> {
    let options = options(pod["metadata"]["name"].as_str().unwrap_or_default(), query)?;
    let container = container::choose(pod, query.first("container"))?;
    let body = if container::on_node(pod).is_ok() {
        let log = streams.logs(pod, &container, options).await?;
        StreamBody::new(log.map_ok(Frame::data)).boxed_unsync()
    } else {
        // As the real server: a pod that waits for a node has an empty log.
        empty()
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Reads the query and refuses what makes no sense.
fn options(pod: &str, query: &Query) -> Result<LogOptions, Status> {
    let [tail_lines, limit_bytes, since_seconds] =
        ["tailLines", "limitBytes", "sinceSeconds"].map(|it| query.number(it));
    let (tail_lines, limit_bytes, since_seconds) = (tail_lines?, limit_bytes?, since_seconds?);
    let since_time = query.first("sinceTime").map(str::to_owned);
    let invalid = |field: &str, value: i64, why: &str| {
        let message = format!("Invalid value: {value}: {why}");
        cause("FieldValueInvalid", field, message)
    };
    let mut causes = Vec::new();
    causes.extend(
        tail_lines.filter(|it| *it < 0).map(|it| invalid("tailLines", it, "must be greater than or equal to 0")),
    );
    causes.extend(limit_bytes.filter(|it| *it < 1).map(|it| invalid("limitBytes", it, "must be greater than 0")));
    if since_seconds.is_some() && since_time.is_some() {
        let why = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
        causes.push(cause("FieldValueForbidden", "", why.to_owned()));
    } else {
        causes
            .extend(since_seconds.filter(|it| *it < 1).map(|it| invalid("sinceSeconds", it, "must be greater than 0")));
    }
    if let Some(stream) = query.first("stream").filter(|stream| *stream != "All") {
        let why = format!("Forbidden: stream {stream} alone cannot be had in the sandbox, only All");
        causes.push(cause("FieldValueForbidden", "stream", why));
    }
    if !causes.is_empty() {
        return Err(refusal(pod, causes));
    }
    let unsigned = |number: Option<i64>| number.and_then(|it| u64::try_from(it).ok());
    Ok(LogOptions {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        tail_lines: unsigned(tail_lines),
        since_seconds: unsigned(since_seconds),
        since_time,
        limit_bytes: unsigned(limit_bytes),
        timestamps: query.flag("timestamps"),
    })
}

fn cause(reason: &'static str, field: &str, message: String) -> Cause {
    Cause { reason, field: field.to_owned(), message }
}

/// The options are no object of their own, so no [`kinds::Resource`] names them.
fn refusal(pod: &str, causes: Vec<Cause>) -> Status {
    let told = kinds::summary(&causes);
    let mut status = Status::new(422, "Invalid", format!("PodLogOptions {} is invalid: {told}", quoted(pod)));
    let kind = "PodLogOptions".to_owned();
    status.details = Some(Box::new(Details { name: pod.to_owned(), kind, causes, ..Details::default() }));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_the_query() {
        let query = Query::parse(
            "follow=true&previous=false&tailLines=5&limitBytes=9&timestamps=1&sinceTime=2026-01-01T00%3A00%3A00Z",
        );
        let expected = LogOptions {
            follow: true,
            tail_lines: Some(5),
            limit_bytes: Some(9),
            since_time: Some("2026-01-01T00:00:00Z".to_owned()),
            timestamps: true,
            ..LogOptions::default()
        };
        assert_eq!(options("web", &query), Ok(expected));
        assert_eq!(options("web", &Query::default()), Ok(LogOptions::default()));
    }

    #[test]
    fn options_that_make_no_sense_are_refused_in_the_real_words() {
        let table = [
            ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
            ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
            ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ];
        for (query, expected) in table {
            let refused = options("web", &Query::parse(query)).unwrap_err();
            assert_eq!((refused.code, refused.message), (422, format!("PodLogOptions \"web\" is invalid: {expected}")));
        }
    }
}
