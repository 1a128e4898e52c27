//! Containers: started, watched, stopped, removed.

use std::cell::RefCell;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::children::{self, Place};
use super::logs::{self, Log};
use super::pods::Pod;
use super::{Agent, check_id, failed, files, unknown};
use crate::config::{ContainerConfig, Started};
use crate::error::{NodeError, StartContainerError};
use crate::messages::{InitConfig, Message, Progress};
use crate::role::Role;
use crate::wire::{self, Frame, Inbox};

/// How long the last output of an ended program is waited for: only a process of another container can have it open.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// A container whose program was started.
#[derive(Debug)]
pub struct Container {
    pub config: Rc<ContainerConfig>,
    pub process: Rc<OwnedFd>,
    ended: watch::Receiver<bool>,
}

impl Agent {
    pub(super) async fn start_container(
        self: &Rc<Self>,
        config: ContainerConfig,
    ) -> Result<Started, StartContainerError> {
        check_id(&config.id)?;
        let pod = self.pods.borrow().get(&config.pod_id).cloned().ok_or_else(|| unknown("pod", &config.pod_id))?;
        let folder = self.folder.join("containers").join(&config.id);
        fs::create_dir(&folder).map_err(failed(format!("make the folder of container {:?}", config.id)))?;
        let config = Rc::new(config);
        self.starting.borrow_mut().insert(config.id.clone(), (config.pod_id.clone(), false));
        let started = self.start_program(&config, &pod, &folder).await;
        let given_up = self.starting.borrow_mut().remove(&config.id).is_some_and(|(_, given_up)| given_up);
        if started.is_err() {
            self.limits.remove(&config.id);
            let _ = files::remove(&folder);
        }
        if given_up {
            self.remove_container(&config.id).await?;
            return Err(StartContainerError::Setup("the container was removed while it was started".to_owned()));
        }
        started
    }

    /// Ends all containers and removes what they wrote to their roots: their users' files are not everybody's to remove.
    pub(super) async fn clear(&self) {
        let containers: Vec<Rc<Container>> = self.containers.borrow().values().cloned().collect();
        for container in &containers {
            let _ = pidfd_send_signal(&container.process, Signal::KILL);
        }
        for container in containers {
            // What cannot be removed now is when the next node starts.
            let _ = self.remove_container(&container.config.id).await;
        }
    }

    /// Has containers that are being started removed as soon as they are there.
    pub(super) fn give_up_starting(&self, which: impl Fn(&str, &str) -> bool) {
        for (container, (pod, given_up)) in self.starting.borrow_mut().iter_mut() {
            *given_up |= which(container, pod);
        }
    }

    async fn start_program(
        self: &Rc<Self>,
        config: &Rc<ContainerConfig>,
        pod: &Pod,
        folder: &Path,
    ) -> Result<Started, StartContainerError> {
        let setup = |what: &str, error: std::io::Error| StartContainerError::Setup(format!("{what}: {error}"));
        self.limits.create(config).map_err(|error| setup("cannot set the container's limits", error))?;
        let log =
            Log::open(&config.log).map_err(|error| setup(&format!("cannot open {}", config.log.display()), error))?;
        let pipes = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| setup("cannot make a pipe", error.into()));
        let (output, errors) = (pipes()?, pipes()?);
        let child = self.children.start(Role::Init, Place::New);
        let child = child.map_err(|error| setup("cannot start a process", error))?;
        let clone = |namespace: &OwnedFd| namespace.try_clone();
        let namespaces = &pod.connection.namespaces;
        let descriptors = [clone(&namespaces.network), clone(&namespaces.ipc), clone(&namespaces.uts)];
        let descriptors = descriptors.into_iter().collect::<Result<Vec<_>, _>>();
        let mut descriptors = descriptors.map_err(|error| setup("cannot hand the pod's namespaces on", error))?;
        descriptors.extend([output.1, errors.1]);
        let init = InitConfig {
            container: (**config).clone(),
            layering: self.layering,
            many_users: self.many_users,
            folder: folder.to_owned(),
            assembly: self.folder.join("assembly"),
            pod_folder: pod.folder.clone(),
            groups: self.limits.groups(&config.id),
        };
        let frame = Frame::new(&init, descriptors).map_err(|error| setup("cannot describe the container", error))?;
        drop(init);
        if let Err(error) = self.see_off(child.socket, frame, config, child.pid).await {
            let _ = pidfd_send_signal(&child.process, Signal::KILL);
            let _ = child.end.await;
            return Err(error);
        }
        let log = Rc::new(RefCell::new(log));
        let copies = [("stdout", output.0), ("stderr", errors.0)]
            .map(|(name, pipe)| tokio::task::spawn_local(logs::copy(log.clone(), name, pipe)));
        let (sender, ended) = watch::channel(false);
        let container = Container { config: config.clone(), process: child.process, ended };
        self.containers.borrow_mut().insert(config.id.clone(), Rc::new(container));
        tokio::task::spawn_local(self.clone().watch_container(config.id.clone(), child.end, copies, sender));
        Ok(Started { pid: child.pid })
    }

    /// Accompanies a process until it has become its program.
    pub(super) async fn see_off(
        &self,
        socket: UnixStream,
        frame: Frame,
        config: &ContainerConfig,
        pid: u32,
    ) -> Result<Option<OwnedFd>, StartContainerError> {
        let lost = |error: std::io::Error| StartContainerError::Setup(format!("lost a starting process: {error}"));
        let mut terminal = None;
        wire::send_frame(&socket, frame).await.map_err(lost)?;
        let mut inbox = Inbox::default();
        loop {
            match inbox.next::<Progress>(&socket).await.map_err(lost)? {
                Some((Progress::Prepared { wants_ids }, descriptors)) => {
                    terminal = terminal.or(descriptors.into_iter().next());
                    if wants_ids {
                        give_ids(pid)
                            .map_err(|error| StartContainerError::Setup(format!("cannot map ids: {error}")))?;
                    }
                    // Not before: what this program itself needs in between is not the container's.
                    self.limits.join(&config.id, pid).map_err(|error| {
                        StartContainerError::Setup(format!("cannot put the process under its limits: {error}"))
                    })?;
                    let go = Frame::new(&(), Vec::new()).map_err(lost)?;
                    wire::send_frame(&socket, go).await.map_err(lost)?;
                }
                Some((Progress::Failed(error), _)) => return Err(error),
                // The socket was closed by becoming the program.
                None => return Ok(terminal),
            }
        }
    }

    async fn watch_container(
        self: Rc<Self>,
        id: String,
        end: oneshot::Receiver<ExitStatus>,
        copies: [JoinHandle<std::io::Result<()>>; 2],
        ended: watch::Sender<bool>,
    ) {
        let Ok(status) = end.await else { return };
        for copy in copies {
            let _ = tokio::time::timeout(LAST_OUTPUT, copy).await;
        }
        let exit = children::exit(status, self.limits.was_killed_for_memory(&id));
        self.tell(&Message::Ended { container: id, exit }, Vec::new());
        ended.send_replace(true);
    }

    pub(super) fn container(&self, id: &str) -> Result<Rc<Container>, NodeError> {
        self.containers.borrow().get(id).cloned().ok_or_else(|| unknown("container", id))
    }

    pub(super) fn signal(&self, id: &str, number: i32) -> Result<(), NodeError> {
        let container = self.container(id)?;
        let signal = Signal::from_named_raw(number).ok_or_else(|| NodeError::Failed {
            what: format!("send signal {number}"),
            cause: "there is no such signal".to_owned(),
        })?;
        match pidfd_send_signal(&container.process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(failed(format!("send signal {number} to container {id:?}"))(error.into())),
        }
    }

    pub(super) async fn remove_container(&self, id: &str) -> Result<(), NodeError> {
        self.give_up_starting(|container, _| container == id);
        let Ok(container) = self.container(id) else { return Ok(()) };
        let _ = pidfd_send_signal(&container.process, Signal::KILL);
        // The sender's end without an end of the container is as good.
        let _ = container.ended.clone().wait_for(|ended| *ended).await;
        self.containers.borrow_mut().remove(id);
        self.limits.remove(id);
        let folder = self.folder.join("containers").join(id);
        let what = format!("remove {}", folder.display());
        files::aside(move || files::remove(&folder)).await.map_err(failed(what))
    }
}

/// Gives a process's own user namespace the ids of this one.
fn give_ids(pid: u32) -> std::io::Result<()> {
    let process = Path::new("/proc").join(pid.to_string());
    for map in ["uid_map", "gid_map"] {
        let own = fs::read_to_string(Path::new("/proc/self").join(map))?;
        fs::write(process.join(map), crate::launch::identity(&own))?;
    }
    Ok(())
}
