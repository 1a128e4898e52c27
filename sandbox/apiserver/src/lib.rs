//! The sandbox's API server: store, verbs, watches, admission, authentication, authorization.
