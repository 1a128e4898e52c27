//! Serves the newest trained model of the recurrent network.

use digit_server::{Served, Summary};
use mnist_rnn_model::{Store, StoreError, Stored};

/// What the page says of the network.
pub const INTRODUCTION: &str = "A recurrent network reads it row by row, from top to bottom, and says what it sees.";

/// The newest model of a store, ready to be served.
pub fn newest(store: &Store) -> Result<Option<Served>, StoreError> {
    let served = |Stored { version, classifier, metrics }: Stored| {
        let summary = Summary {
            dataset: metrics.dataset.clone(),
            test_accuracy: metrics.test_accuracy,
            train_seconds: metrics.train_seconds,
        };
        let metrics = serde_json::to_value(&metrics).expect("metrics are plain data");
        Served::new(version, metrics, summary, move |pictures| classifier.predict(pictures))
    };
    Ok(store.newest()?.map(served))
}
