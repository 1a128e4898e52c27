//! Counting what happens, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::served::Served;

/// Upper bounds of the classes of latency, in seconds.
const BOUNDS_SECONDS: [f64; 10] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// By route, method and status.
    requests: BTreeMap<(String, &'static str, u16), u64>,
    /// Predictions by class of latency; the last class has no upper bound.
    latencies: [u64; BOUNDS_SECONDS.len() + 1],
    latency_seconds: f64,
    pictures: u64,
    load_failures: u64,
}

impl Metrics {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counts are right after each statement: a panic elsewhere does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered.
    pub fn count_request(&self, route: &str, method: &axum::http::Method, status: u16) {
        // Methods can be invented by the client; the number of time series must not be.
        let method = match method.as_str() {
            "GET" => "GET",
            "POST" => "POST",
            "HEAD" => "HEAD",
            _ => "other",
        };
        *self.counts().requests.entry((route.to_owned(), method, status)).or_default() += 1;
    }

    /// That many pictures were predicted at once, in this time.
    pub fn count_prediction(&self, pictures: usize, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let class = BOUNDS_SECONDS.iter().position(|&bound| seconds <= bound).unwrap_or(BOUNDS_SECONDS.len());
        let mut counts = self.counts();
        counts.latencies[class] += 1;
        counts.latency_seconds += seconds;
        counts.pictures += pictures as u64;
    }

    /// A model could not be loaded.
    pub fn count_load_failure(&self) {
        self.counts().load_failures += 1;
    }

    /// Everything as text.
    pub fn render(&self, model: Option<&Served>) -> String {
        let counts = self.counts();
        let mut text = String::new();
        family(&mut text, "http_requests_total", "counter", "Requests by route, method and status.");
        for ((route, method, status), count) in &counts.requests {
            line(
                &mut text,
                &format!("http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}"),
                count,
            );
        }
        family(&mut text, "prediction_seconds", "histogram", "Time of one run of the model, waiting not included.");
        let mut below = 0;
        for (bound, count) in BOUNDS_SECONDS.iter().zip(counts.latencies) {
            below += count;
            line(&mut text, &format!("prediction_seconds_bucket{{le=\"{bound}\"}}"), below);
        }
        let all = counts.latencies.iter().sum::<u64>();
        line(&mut text, "prediction_seconds_bucket{le=\"+Inf\"}", all);
        line(&mut text, "prediction_seconds_sum", counts.latency_seconds);
        line(&mut text, "prediction_seconds_count", all);
        family(&mut text, "predicted_pictures_total", "counter", "Pictures that were predicted.");
        line(&mut text, "predicted_pictures_total", counts.pictures);
        family(&mut text, "model_load_failures_total", "counter", "Attempts to load a model that failed.");
        line(&mut text, "model_load_failures_total", counts.load_failures);
        family(&mut text, "model_loaded", "gauge", "1 if a model is loaded, else 0.");
        line(&mut text, "model_loaded", u8::from(model.is_some()));
        if let Some(Served { version, summary, .. }) = model {
            family(&mut text, "model_info", "gauge", "The loaded model; always 1.");
            line(
                &mut text,
                &format!("model_info{{version=\"{version}\",dataset=\"{}\"}}", escape(&summary.dataset)),
                1,
            );
            family(&mut text, "model_test_accuracy_ratio", "gauge", "Part of the test images that it recognised.");
            line(&mut text, "model_test_accuracy_ratio", summary.test_accuracy);
            family(&mut text, "model_train_seconds", "gauge", "Time that its training took.");
            line(&mut text, "model_train_seconds", summary.train_seconds);
        }
        text
    }
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn line(text: &mut String, series: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{series} {value}");
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
