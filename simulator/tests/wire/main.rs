//! Google's side as a client sees it, over HTTP.

mod clusters;
mod controllers;
mod faults;
mod filestore;
mod networks;
mod projects;
mod registry;
mod support;
