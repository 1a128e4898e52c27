//! What the simulator has beside Google's interfaces, below `/sim/`: the ledger, the faults, the time, and who a token is.

use std::time::Duration;

use serde_json::{Value, json};

use super::operations::Operation;
use super::serve::Request;
use super::world::World;
use super::{Gcp, Refusal};
use crate::faults::Faults;
use crate::ledger::{Finished, Ledger, Rate};
use crate::server::Answer;

/// What the simulator tells of itself.
pub(crate) fn ledger(world: &World) -> Ledger {
    let (calls, calls_total) = world.book.calls();
    let operations = world.under_way().map(|operation| {
        json!({"name": operation.name, "type": operation.kind, "target": operation.target, "status": operation.status(world.now)})
    });
    let rates = world.rates.busiest().map(|(service, metric, most, limit)| Rate {
        service: service.into(),
        metric: metric.into(),
        most,
        limit,
    });
    Ledger {
        now: world.clock.timestamp(world.now),
        entries: world.book.entries(&world.clock, world.now),
        calls,
        calls_total,
        rates: rates.collect(),
        problems: world.problems.iter().cloned().collect(),
        operations: operations.collect(),
        finished: finished(world),
    }
}

fn finished(world: &World) -> Vec<Finished> {
    let mut finished: Vec<Finished> = world.operations.values().filter_map(Operation::finished).collect();
    finished.sort_by(|one, other| one.began_seconds.total_cmp(&other.began_seconds));
    finished
}

/// Answers a request below `/sim/`.
pub(crate) fn answer(gcp: &Gcp, path: &str, request: &Request) -> Answer {
    match (request.verb.as_str(), path) {
        ("GET", "ledger") => told(&serde_json::to_value(gcp.ledger())),
        ("GET", "faults") => told(&serde_json::to_value(&gcp.world().faults.faults)),
        ("PUT" | "POST", "faults") => match serde_json::from_slice::<Faults>(&request.body) {
            Ok(faults) => {
                let answer = told(&serde_json::to_value(&faults));
                gcp.set_faults(faults);
                answer
            }
            Err(error) => Answer::refusal(&Refusal::invalid(format!("Invalid faults: {error}")), ""),
        },
        ("POST", "skip") => {
            let seconds = serde_json::from_slice::<Value>(&request.body).ok().and_then(|body| body["seconds"].as_f64());
            let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            match time {
                Some(time) => {
                    gcp.clock().skip(time);
                    Answer::json(200, &json!({"now": gcp.ledger().now}))
                }
                None => Answer::refusal(&Refusal::invalid("Expected {\"seconds\": NUMBER}."), ""),
            }
        }
        ("POST", "tokenreview") => token_review(gcp, request),
        ("GET", path) if path.starts_with("nodetoken/") => node_token(gcp, &path["nodetoken/".len()..]),
        _ => Answer::refusal(&Refusal::not_found(format!("The simulator has no /sim/{path}")), ""),
    }
}

fn told(value: &Result<Value, serde_json::Error>) -> Answer {
    match value {
        Ok(value) => Answer::json(200, value),
        Err(error) => Answer::refusal(&Refusal::internal(error.to_string()), ""),
    }
}

/// Gives out a token of the account that a cluster's nodes have.
fn node_token(gcp: &Gcp, id: &str) -> Answer {
    let mut world = gcp.world();
    let mut clusters =
        world.things.iter().filter(|(key, _)| key.contains("/clusters/") && !key.contains("/nodePools/"));
    let Some((key, _)) = clusters.find(|(_, cluster)| cluster.body["id"] == id) else {
        return Answer::refusal(&Refusal::not_found(format!("There is no cluster with the id {id}")), "");
    };
    let pools = format!("{key}/nodePools/");
    let mut pools = world.things.range(pools.clone()..).take_while(|(key, _)| key.starts_with(&pools));
    let account = pools.find_map(|(_, pool)| pool.body["config"]["serviceAccount"].as_str());
    let account = account.filter(|account| account.contains('@')).unwrap_or("default@developer.gserviceaccount.com");
    let (account, now) = (account.to_owned(), world.now);
    let token = world.accounts.give(&account, now);
    let seconds = world.accounts.lifetime().as_secs();
    Answer::json(200, &json!({"access_token": token, "expires_in": seconds, "token_type": "Bearer"}))
}

/// Says who a token is, as an API server's webhook for authentication is asked. Who is known here may do everything in the project,
/// and on GKE that holds in its clusters, too: there a webhook for authorization asks IAM; here the group says it.
fn token_review(gcp: &Gcp, request: &Request) -> Answer {
    let Ok(mut review) = serde_json::from_slice::<Value>(&request.body) else {
        return Answer::refusal(&Refusal::invalid("Expected a TokenReview."), "");
    };
    let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
    let world = gcp.world();
    review["status"] = match world.accounts.holder(&token, world.now) {
        Ok(email) => {
            json!({"authenticated": true, "user": {"username": email, "groups": ["system:masters", "system:authenticated"]}})
        }
        Err(refusal) => json!({"authenticated": false, "error": refusal.message}),
    };
    if review["kind"].is_null() {
        review["kind"] = json!("TokenReview");
        review["apiVersion"] = json!("authentication.k8s.io/v1");
    }
    Answer::json(200, &review)
}
