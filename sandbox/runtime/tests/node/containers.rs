//! Programs in containers.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use runtime::{ExecConfig, Mount, MountKind, StartContainerError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::machine::{Machine, Result, has, same, text};

pub async fn a_program_runs_as_process_1_and_its_end_is_told(machine: &Machine) -> Result {
    machine.pod("p1").await?;
    let (exit, output) = machine.run("p1", "c1", "echo $$; hostname; cat /proc/1/comm; exit 7").await?;
    same((exit.code, exit.signal, exit.oom_killed), (7, None, false))?;
    same(output.as_str(), "1\np1\nsh\n")?;
    let mut config = machine.container("p1", "wrong", "");
    config.arguments = ["sh", "-c", "printf right; echo wrong >&2"].map(str::to_owned).to_vec();
    machine.run_container(config).await?;
    let log = std::fs::read_to_string(machine.path("wrong.log")).map_err(text)?;
    has(&log, "Z stderr F wrong\n")?;
    has(&log, "Z stdout F right\n")?;
    // The last is the one that `ls` reads the folder with.
    let (_, output) = machine.run("p1", "open", "exec ls /proc/self/fd").await?;
    same(output.as_str(), "0\n1\n2\n3\n")?;
    let (exit, _) = machine.run("p1", "c2", "kill -9 $$; echo alive; (kill -11 1); exit 0").await?;
    // A process 1 ignores what it does not handle, as in any container.
    same(exit.code, 0)?;
    machine.node.stop_pod("p1").await.map_err(text)
}

pub async fn signals_reach_the_program_and_after_the_grace_it_is_killed(machine: &Machine) -> Result {
    machine.pod("p2").await?;
    machine
        .start_container(machine.container(
            "p2",
            "polite",
            "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done",
        ))
        .await?;
    machine.start_container(machine.container("p2", "deaf", "sleep 1000")).await?;
    while machine.output("polite") != "up\n" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let exit = machine.node.stop_container("polite", 15, Duration::from_secs(10)).await.map_err(text)?;
    same((exit.code, machine.output("polite").as_str()), (3, "up\nbye\n"))?;
    let exit = machine.node.stop_container("deaf", 15, Duration::from_millis(50)).await.map_err(text)?;
    same((exit.code, exit.signal), (137, Some(9)))?;
    machine.node.stop_pod("p2").await.map_err(text)
}

pub async fn a_program_that_cannot_be_started_says_why(machine: &Machine) -> Result {
    machine.pod("p3").await?;
    let mut config = machine.container("p3", "c", "");
    for (program, wanted) in [
        ("/nope", "exec: \"/nope\": stat /nope: no such file or directory: unknown"),
        ("nope", "exec: \"nope\": executable file not found in $PATH: unknown"),
        ("/etc", "exec: \"/etc\": permission denied: unknown"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied: unknown"),
    ] {
        config.arguments = vec![program.to_owned()];
        match machine.node.start_container(config.clone()).await {
            Err(StartContainerError::Program(message)) if message.ends_with(wanted) => {}
            other => return Err(format!("{program}: {other:?}")),
        }
    }
    "/etc/passwd".clone_into(&mut config.working_directory);
    let error = machine.node.start_container(config.clone()).await.err().map(text).unwrap_or_default();
    has(&error, "error during container init: mkdir /etc/passwd: not a directory: unknown")?;
    config.working_directory = String::new();
    let script = machine.path("image/bin/garbage");
    std::fs::write(&script, [0, 1, 2, 3]).map_err(text)?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(text)?;
    config.arguments = vec!["/bin/garbage".to_owned()];
    let (exit, output) = machine.run_container(config).await?;
    same((exit.code, output.as_str()), (1, "exec /bin/garbage: exec format error\n"))?;
    machine.node.stop_pod("p3").await.map_err(text)
}

pub async fn the_image_stays_as_it_is_and_nothing_of_the_machine_is_seen(machine: &Machine) -> Result {
    machine.pod("p4").await?;
    let script = "echo new > /etc/shadowed; cat /etc/shadowed; ls /; touch /proc/sys/kernel/hostname 2>&1; \
                  ls -d /work /home/* ../../..; mount -o remount,rw /proc/sys; ls /proc/1/root";
    let (_, output) = machine.run("p4", "c", script).await?;
    has(&output, "new\nbin\ndev\netc\nhome\nlink\nproc\nroot\nsys\ntmp\n")?;
    has(&output, "/proc/sys/kernel/hostname: Read-only file system")?;
    has(&output, "/work: No such file")?;
    same(std::fs::read_to_string(machine.path("image/etc/shadowed")).map_err(text)?.as_str(), "text")?;
    let mut config = machine.container("p4", "powerful", "mount -o remount,rw /proc/sys && echo open; umount /proc/sys && echo open; mount -t proc p /tmp && echo x > /tmp/sys/kernel/domainname && echo open; echo done");
    config.privileges.privileged = true;
    let (_, output) = machine.run_container(config).await?;
    has(&output, "done")?;
    same(output.contains("open"), false)?;
    let mut config = machine.container("p4", "fixed", "touch /x; touch /data/x && echo data");
    config.read_only_root = true;
    config.mounts = vec![Mount {
        kind: MountKind::Tmpfs { size_bytes: Some(1 << 20) },
        target: "/data".to_owned(),
        read_only: false,
    }];
    let (_, output) = machine.run_container(config).await?;
    same(output.as_str(), "touch: /x: Read-only file system\ndata\n")?;
    machine.node.stop_pod("p4").await.map_err(text)
}

pub async fn users_groups_folders_and_mounts_are_as_asked(machine: &Machine) -> Result {
    machine.pod("p5").await?;
    let volume = machine.path("volume");
    std::fs::create_dir_all(&volume).map_err(text)?;
    std::fs::write(volume.join("file"), "from the machine\n").map_err(text)?;
    machine.node.give(&volume, None, Some(1000), Some(0o660)).await.map_err(text)?;
    let mut config = machine.container("p5", "c", "id -u; id -g; echo $HOME; ls -d .; cat /data/file; echo x > /data/mine || echo no; echo y > /later/locked/x; cat /etc/hosts | tail -n 1");
    (config.user, config.group) = (1000, 1000);
    "/made/here".clone_into(&mut config.working_directory);
    let bind = |target: &str, read_only| Mount {
        kind: MountKind::Bind { source: volume.clone() },
        target: target.to_owned(),
        read_only,
    };
    config.mounts = vec![bind("/data", false), bind("/link/locked", true)];
    let (_, output) = machine.run_container(config).await?;
    has(&output, "1000\n1000\n/home/app\n.\nfrom the machine\n")?;
    has(&output, "/later/locked/x: Read-only file system")?;
    has(&output, "1.2.3.4\talias\n")?;
    same(volume.join("mine").exists() && !output.contains("\nno\n"), true)?;
    machine.node.remove_folder(&volume).await.map_err(text)?;
    same(volume.exists(), false)?;
    machine.node.stop_pod("p5").await.map_err(text)
}

pub async fn memory_is_shared_by_containers_and_reached_by_the_owner(machine: &Machine) -> Result {
    machine.pod("p8").await?;
    let folder = machine.path("volumes/memory");
    let open = machine.node.keep_memory(&folder, Some(1 << 20)).await.map_err(text)?;
    let seen = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
    std::fs::write(seen.join("file"), "from the owner\n").map_err(text)?;
    let container = |id: &str, script: &str, read_only| {
        let mut config = machine.container("p8", id, script);
        config.mounts =
            vec![Mount { kind: MountKind::Bind { source: folder.clone() }, target: "/data".to_owned(), read_only }];
        config
    };
    let script = "cat /data/file; echo mine > /data/mine; head -c 2000000 /dev/zero > /data/large || echo full";
    let (_, output) = machine.run_container(container("one", script, false)).await?;
    has(&output, "from the owner\n")?;
    has(&output, "full\n")?;
    let script = "cat /data/mine; touch /data/x; mount";
    let (_, output) = machine.run_container(container("other", script, true)).await?;
    has(&output, "mine\n")?;
    has(&output, "/data/x: Read-only file system")?;
    has(&output, " on /data type tmpfs (ro")?;
    same(std::fs::read_to_string(seen.join("mine")).map_err(text)?.as_str(), "mine\n")?;
    same(std::fs::read_dir(&folder).map_err(text)?.count(), 0)?;
    let open = machine.node.keep_memory(&folder, None).await.map_err(text)?;
    let again = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
    same(again.join("mine").exists(), true)?;
    machine.node.remove_folder(&machine.path("volumes")).await.map_err(text)?;
    same(folder.exists(), false)?;
    machine.node.stop_pod("p8").await.map_err(text)
}

pub async fn programs_can_be_started_in_a_running_container(machine: &Machine) -> Result {
    machine.pod("p6").await?;
    machine.start_container(machine.container("p6", "c", "echo kept > /tmp/mark; sleep 1000")).await?;
    while machine.exec("c", "cat /tmp/mark", b"").await?.1 != "kept\n" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (code, output, errors) = machine.exec("c", "cat; echo bad >&2; ps | head -n 2; exit 5", b"given ").await?;
    same((code, errors.as_str()), (5, "bad\n"))?;
    has(&output, "given PID")?;
    let config = ExecConfig { arguments: vec!["nope".to_owned()], stdout: true, ..ExecConfig::default() };
    let error = machine.node.exec("c", config).await.err().map(text).unwrap_or_default();
    has(&error, "exec: \"nope\": executable file not found in $PATH")?;
    terminal(machine).await?;
    let config = ExecConfig { arguments: vec!["sleep".to_owned(), "777".to_owned()], ..ExecConfig::default() };
    drop(machine.node.exec("c", config).await.map_err(text)?);
    while machine.exec("c", "ps | cat", b"").await?.1.contains("sleep 777") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    machine.node.stop_pod("p6").await.map_err(text)
}

async fn terminal(machine: &Machine) -> Result {
    let arguments = ["sh", "-c", "stty size; read line; stty size; echo got $line"].map(str::to_owned).to_vec();
    let config = ExecConfig { arguments, tty: true, stdin: true, stdout: true, stderr: false };
    let mut exec = machine.node.exec("c", config).await.map_err(text)?;
    exec.terminal.as_ref().ok_or("no terminal")?.resize(132, 43).map_err(text)?;
    exec.stdin.as_mut().ok_or("no input")?.write_all(b"hello\n").await.map_err(text)?;
    let mut output = String::new();
    exec.stdout.as_mut().ok_or("no output")?.read_to_string(&mut output).await.map_err(text)?;
    has(&output, "43 132\r\ngot hello\r\n")?;
    same(exec.exit.wait().await.map_err(text)?.code, 0)
}

pub async fn limits_hold_where_they_can_be_had(machine: &Machine) -> Result {
    let capabilities = machine.node.capabilities();
    if !capabilities.memory_limits.is_there() {
        return same(format!("{:?}", capabilities.memory_limits).len() > 20, true);
    }
    machine.pod("p7").await?;
    let mut config = machine.container(
        "p7",
        "hungry",
        "cat /dev/zero | head -c 200000000 | tail > /dev/null & wait $!; x=$(yes | head -c 100000000); echo fed",
    );
    config.memory_limit_bytes = Some(24 << 20);
    let (exit, output) = machine.run_container(config).await?;
    same((exit.oom_killed, output.contains("fed")), (true, false))?;
    let mut config = machine.container("p7", "busy", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; cat /proc/self/cgroup; cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max");
    config.cpu_limit_millis = Some(100);
    config.cpu_request_millis = Some(50);
    let begun = std::time::Instant::now();
    let (_, output) = machine.run_container(config.clone()).await?;
    has(&output, "10000")?;
    let limited = begun.elapsed();
    (config.cpu_limit_millis, config.id) = (None, "free".to_owned());
    let begun = std::time::Instant::now();
    machine.run_container(config).await?;
    if limited < begun.elapsed() * 2 {
        return Err(format!("limited {limited:?}, free {:?}", begun.elapsed()));
    }
    machine.node.stop_pod("p7").await.map_err(text)
}
