use futures::stream::{BoxStream, StreamExt};
use futures::{AsyncBufReadExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;

use super::{Client, KubernetesError};

/// One line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When the container wrote it.
    pub at: Timestamp,
    /// The line, without its end.
    pub text: String,
}

/// Which part of a container's log is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The container; needed where a pod has more than one.
    pub container: Option<String>,
    /// Only this many of the last lines.
    pub tail: Option<u32>,
    /// The run of the container before the current one.
    pub previous: bool,
}

/// A stream that breaks so often without a line in between is given up.
const MOST_BREAKS: u32 = 5;

impl Client {
    /// The text of the lines that a container has written so far.
    pub async fn log(&self, namespace: &str, pod: &str, options: &LogOptions) -> Result<Vec<String>, KubernetesError> {
        Ok(self.log_lines(namespace, pod, options).await?.into_iter().map(|line| line.text).collect())
    }

    /// The lines that a container has written so far.
    pub async fn log_lines(
        &self,
        namespace: &str,
        pod: &str,
        options: &LogOptions,
    ) -> Result<Vec<LogLine>, KubernetesError> {
        let parameters = &parameters(options, false);
        let text =
            self.call(|connection| async move {
                Api::<Pod>::namespaced(connection.sdk, namespace).logs(pod, parameters).await
            })
            .await?;
        Ok(text.lines().filter_map(parse).collect())
    }

    /// The lines that a container has written and writes, until it ends.
    ///
    /// A stream that breaks is taken up again after the last line it gave, so that no line is lost and none comes twice. It ends with an
    /// error where the API server says that there is no such container any more.
    pub fn follow_log(
        &self,
        namespace: &str,
        pod: &str,
        options: &LogOptions,
    ) -> BoxStream<'static, Result<LogLine, KubernetesError>> {
        let state = Follow {
            client: self.clone(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            parameters: parameters(options, true),
            last: None,
            lines: None,
            breaks: 0,
        };
        futures::stream::unfold(Some(state), |state| async move {
            let mut state = state?;
            match state.next().await {
                Ok(Some(line)) => Some((Ok(line), Some(state))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

struct Follow {
    client: Client,
    namespace: String,
    pod: String,
    parameters: LogParams,
    last: Option<Timestamp>,
    lines: Option<BoxStream<'static, std::io::Result<String>>>,
    breaks: u32,
}

impl Follow {
    async fn next(&mut self) -> Result<Option<LogLine>, KubernetesError> {
        loop {
            if self.lines.is_none() {
                let (client, namespace, pod, parameters) = (&self.client, &self.namespace, &self.pod, &self.parameters);
                self.lines = Some(client.patiently(|| open(client, namespace, pod, parameters)).await?);
            }
            let lines = self.lines.as_mut().expect("opened above");
            match lines.try_next().await {
                Ok(Some(text)) => {
                    let Some(line) = parse(&text) else { continue };
                    // `sinceTime` counts in seconds: what was given before a break comes again.
                    if self.last.is_some_and(|last| line.at <= last) && self.parameters.since_time.is_some() {
                        continue;
                    }
                    self.last = Some(line.at);
                    self.breaks = 0;
                    return Ok(Some(line));
                }
                // The API server closes the stream in an orderly way when the container has ended.
                Ok(None) => return Ok(None),
                Err(error) if self.breaks >= MOST_BREAKS => return Err(KubernetesError::Protocol(Box::new(error))),
                Err(_) => {
                    self.lines = None;
                    self.breaks += 1;
                    if self.last.is_some() {
                        self.parameters.since_time = self.last;
                        self.parameters.tail_lines = None;
                    }
                }
            }
        }
    }
}

async fn open(
    client: &Client,
    namespace: &str,
    pod: &str,
    parameters: &LogParams,
) -> Result<BoxStream<'static, std::io::Result<String>>, KubernetesError> {
    let reader = client
        .call(|connection| async move {
            Api::<Pod>::namespaced(connection.sdk, namespace).log_stream(pod, parameters).await
        })
        .await?;
    Ok(reader.lines().boxed())
}

fn parameters(options: &LogOptions, follow: bool) -> LogParams {
    LogParams {
        container: options.container.clone(),
        follow,
        previous: options.previous,
        tail_lines: options.tail.map(i64::from),
        timestamps: true,
        ..LogParams::default()
    }
}

/// `2026-01-02T03:04:05.123456789Z text`
fn parse(line: &str) -> Option<LogLine> {
    let (at, text) = line.split_once(' ').unwrap_or((line, ""));
    Some(LogLine { at: at.parse().ok()?, text: text.trim_end_matches('\r').to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_into_its_time_and_its_text() {
        let line = parse("2026-01-02T03:04:05.5Z epoch 1  loss 0.3").expect("a line");
        assert_eq!((line.at.to_string().as_str(), line.text.as_str()), ("2026-01-02T03:04:05.5Z", "epoch 1  loss 0.3"));
        assert_eq!(parse("2026-01-02T03:04:05Z ").expect("an empty line").text, "");
    }
}
