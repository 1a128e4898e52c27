//! Several requests in one: `multipart/mixed`, each part an HTTP request of its own.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Answer;
use crate::gcp::Request;

/// The line between the parts of an answer.
const BOUNDARY: &str = "batch_of_answers";

/// The requests within a request, each with its identifier. Nothing where it is not a batch.
pub(crate) fn parts(request: &Request) -> Option<Vec<(String, Request)>> {
    let kind = request.header(header::CONTENT_TYPE);
    let boundary = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches('"');
    let text = String::from_utf8(request.body.to_vec()).ok()?.replace("\r\n", "\n");
    let line = format!("--{boundary}");
    let inner = text.split(line.as_str()).skip(1).take_while(|part| !part.starts_with("--"));
    inner.map(|part| one(part.trim_start_matches('\n'), request)).collect()
}

fn one(part: &str, outer: &Request) -> Option<(String, Request)> {
    let (head, inner) = part.split_once("\n\n")?;
    let id = head.lines().find_map(|line| value(line, "content-id"))?;
    let (start, body) = inner.split_once("\n\n").unwrap_or((inner.trim_end(), ""));
    let mut lines = start.lines();
    let mut first = lines.next()?.split(' ');
    let (verb, target) = (first.next()?, first.next()?);
    let target = target.split_once("://").map_or(target, |(_, rest)| &rest[rest.find('/').unwrap_or(rest.len())..]);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: HeaderMap = outer.headers.clone();
    headers.remove(header::CONTENT_TYPE);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = HeaderName::from_bytes(name.trim().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.trim())) {
            headers.insert(name, value);
        }
    }
    let body = Bytes::from(body.trim_end_matches('\n').to_owned());
    let request = Request { verb: verb.into(), path: path.into(), query: query.into(), headers, body };
    Some((id.to_owned(), request))
}

fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (known, value) = line.split_once(':')?;
    known.trim().eq_ignore_ascii_case(name).then(|| value.trim())
}

/// The answers as one.
pub(crate) fn join(answers: Vec<(String, Answer)>) -> Answer {
    let mut text = String::new();
    for (id, answer) in answers {
        let id = id.trim_start_matches('<').trim_end_matches('>');
        let body = String::from_utf8_lossy(&answer.body);
        let head = format!("--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <response-{id}>\r\n\r\n");
        let kind = "Content-Type: application/json; charset=UTF-8";
        let length = body.len();
        let start = format!("HTTP/1.1 {} STATUS\r\n{kind}\r\nContent-Length: {length}\r\n\r\n", answer.status);
        text.extend([&head, &start, &*body, "\r\n"]);
    }
    text.extend(["--", BOUNDARY, "--\r\n"]);
    let kind = format!("multipart/mixed; boundary={BOUNDARY}");
    Answer { status: 200, headers: vec![("content-type", kind)], body: Bytes::from(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_taken_apart() {
        let body = "--x\r\nContent-Type: application/http\r\nContent-ID: <a+1>\r\n\r\nGET /compute/v1/projects/p/zones?z=1 HTTP/1.1\r\n\
                    Accept: json\r\n\r\n--x\r\nContent-ID: <a+2>\r\n\r\nPOST /y HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}\r\n--x--\r\n";
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("multipart/mixed; boundary=\"x\""));
        let request = Request {
            verb: "POST".into(),
            path: "/batch/compute/v1".into(),
            query: String::new(),
            headers,
            body: Bytes::from(body),
        };
        let parts = parts(&request).unwrap();
        let told: Vec<_> =
            parts.iter().map(|(id, part)| (id.as_str(), part.path.as_str(), part.query.as_str())).collect();
        assert_eq!(told, [("<a+1>", "/compute/v1/projects/p/zones", "z=1"), ("<a+2>", "/y", "")]);
        assert_eq!(parts[1].1.body, "{}");
    }
}
