//! An S3 server for one trial.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::machine::get;

/// A running server with an empty bucket, `team`.
pub struct Server {
    process: Child,
    address: String,
}

impl Server {
    pub fn start(program: &OsStr) -> Self {
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let arguments = ["-backend", "memory", "-initialbucket", "team", "-quiet", "-host", &address];
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(&address).is_err() {
            assert!(process.try_wait().unwrap().is_none(), "the S3 server ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, address }
    }

    /// What a machine's environment says of it.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ]
    }

    /// The names of all objects.
    pub fn keys(&self) -> Vec<String> {
        let listed = get(&format!("http://{}/team?list-type=2", self.address)).unwrap();
        let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| key.to_owned()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
