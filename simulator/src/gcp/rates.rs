//! How many calls a project may make in a minute.

use std::collections::BTreeMap;

use super::fields::Method;
use crate::clock::Moment;

/// Calls in a minute for each service and sort of call, as they stand on the services' pages on quotas. Kubernetes Engine counts all
/// calls as one sort, over 100 seconds: 5000 of them, which are 3000 in each minute.
const LIMITS: [(&str, &str, u32); 11] = [
    ("compute", "Queries", 1500),
    ("compute", "Read requests", 1500),
    ("compute", "List requests", 1500),
    ("compute", "Operation read requests", 1500),
    ("container", "Requests", 3000),
    ("artifactregistry", "Read requests", 60_000),
    ("artifactregistry", "Write requests", 18_000),
    ("serviceusage", "Read requests", 240),
    ("serviceusage", "Write requests", 60),
    ("iam", "Read requests", 6000),
    ("iam", "Write requests", 600),
];

/// The sort of a call, in the words of its quota.
pub(crate) fn metric(method: &Method) -> &'static str {
    let compute = method.service() == "compute";
    match method.action() {
        _ if compute && method.collection().ends_with("Operations") => "Operation read requests",
        "list" | "aggregatedList" if compute => "List requests",
        _ if method.service() == "container" => "Requests",
        _ if method.looks() => "Read requests",
        _ if compute => "Queries",
        _ => "Write requests",
    }
}

/// The calls of the minute that is now, and the most of any minute.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// Whether what is too many is refused.
    pub enforced: bool,
    counts: BTreeMap<(String, &'static str, &'static str), (u64, u32)>,
    busiest: BTreeMap<(&'static str, &'static str), u32>,
}

impl Rates {
    /// Counts a call. Gives whether it is to be refused.
    pub fn count(&mut self, method: &Method, project: &str, now: Moment) -> bool {
        let (service, metric, minute) = (method.service(), metric(method), now.as_secs() / 60);
        let count = self.counts.entry((project.to_owned(), service, metric)).or_insert((minute, 0));
        if count.0 != minute {
            *count = (minute, 0);
        }
        count.1 += 1;
        let most = self.busiest.entry((service, metric)).or_default();
        *most = (*most).max(count.1);
        let limit = LIMITS.iter().find(|known| known.0 == service && known.1 == metric).map(|known| known.2);
        self.enforced && limit.is_some_and(|limit| count.1 > limit)
    }

    /// The most calls of a sort in one minute, with the limit if there is one: service, sort, calls, limit.
    pub fn busiest(&self) -> impl Iterator<Item = (&'static str, &'static str, u32, Option<u32>)> {
        self.busiest.iter().map(|((service, metric), most)| {
            let limit = LIMITS.iter().find(|known| known.0 == *service && known.1 == *metric).map(|known| known.2);
            (*service, *metric, *most, limit)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fields::routes;
    use super::*;

    #[test]
    fn what_is_too_much_for_a_minute_is_refused_until_the_next() {
        let mut rates = Rates { enforced: true, ..Rates::default() };
        let method = routes("POST", "/v1/projects/p/services/x.googleapis.com:enable")[0].method;
        let mut refused = |seconds| rates.count(method, "p", Duration::from_secs(seconds));
        assert!((0..60).all(|_| !refused(1)));
        assert!(refused(59));
        assert!(!refused(60));
        assert_eq!(rates.busiest().next(), Some(("serviceusage", "Write requests", 61, Some(60))));
    }
}
