//! Places for objects in a program that was built without them: there are none.

#![allow(clippy::unused_async, reason = "the whole program waits here")]

use std::convert::Infallible;

use bytes::Bytes;

use super::{Blob, Error};

/// A place for objects, of which there is none.
#[derive(Clone, Debug)]
pub struct Blobs(Infallible);

impl Blobs {
    /// Fails: this program was built without such places.
    pub fn new(place: &str, _: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        // What follows the scheme may hold a key.
        let place = place.split_once("://").map_or("a shared place", |(scheme, _)| scheme);
        Err(Error::Place { place: place.to_owned(), problem: "this program was built without shared state".to_owned() })
    }

    /// The name of an object, as a person would say it.
    pub fn place(&self, _: &str) -> String {
        match self.0 {}
    }

    /// All objects in a folder and the folders within, by name.
    pub async fn list(&self, _: &str) -> Result<Vec<Blob>, Error> {
        match self.0 {}
    }

    /// An object's content.
    pub async fn get(&self, _: &str) -> Result<Option<Bytes>, Error> {
        match self.0 {}
    }

    /// Makes an object of a name that is free.
    pub async fn create(&self, _: &str, _: impl Into<Bytes>) -> Result<bool, Error> {
        match self.0 {}
    }

    /// Deletes an object.
    pub async fn delete(&self, _: &str) -> Result<(), Error> {
        match self.0 {}
    }
}
