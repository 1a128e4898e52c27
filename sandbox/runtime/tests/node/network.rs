//! Pods in their network.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use runtime::{Protocol, ServiceAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::machine::{Machine, Result, has, same, text};

const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 7, 7);

async fn server(machine: &Machine, pod: &str) -> Result<Ipv4Addr> {
    let address = machine.pod(pod).await?;
    let script = "while :; do echo from $(hostname) | nc -l -p 80 > /dev/null; done";
    machine.start_container(machine.container(pod, pod, script)).await?;
    Ok(address)
}

async fn read(machine: &Machine, address: SocketAddrV4) -> Result<String> {
    for _ in 0..200 {
        if let Ok(mut stream) = machine.node.connect(address).await {
            let mut text = String::new();
            stream.shutdown().await.map_err(self::text)?;
            if stream.read_to_string(&mut text).await.is_ok() && !text.is_empty() {
                return Ok(text);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("nobody answers at {address}"))
}

fn service(port: u16, protocol: Protocol, backends: Vec<SocketAddrV4>) -> ServiceAddress {
    ServiceAddress { address: SERVICE, port, protocol, backends, affinity_seconds: None }
}

pub async fn pods_have_ports_of_their_own_and_reach_each_other_and_services(machine: &Machine) -> Result {
    let (a, b) = (server(machine, "a").await?, server(machine, "b").await?);
    same(read(machine, SocketAddrV4::new(a, 80)).await?.as_str(), "from a\n")?;
    same(read(machine, SocketAddrV4::new(b, 80)).await?.as_str(), "from b\n")?;
    let backends = vec![SocketAddrV4::new(a, 80), SocketAddrV4::new(b, 80)];
    machine
        .node
        .set_services(vec![service(8080, Protocol::Tcp, backends), service(9, Protocol::Tcp, vec![])])
        .await
        .map_err(text)?;
    let name = "web.default.svc.cluster.local".to_owned();
    machine.node.set_names(BTreeMap::from([(name, vec![SERVICE])])).await.map_err(text)?;
    machine.pod("client").await?;
    let get = |address: &str, port: u16| {
        {
            // The server is away for a moment after each answer.
            format!("x=; while [ -z \"$x\" ]; do x=$(nc -w 2 {address} {port} < /dev/null); done; echo $x; ")
        }
    };
    let script = [get(&a.to_string(), 80), get("web", 8080), get("web", 8080), get("web.default", 8080)].concat();
    let (_, output) = machine.run("client", "clients", &script).await?;
    has(&output, "from a\n")?;
    has(&output, "from b\n")?;
    same(output.lines().count(), 4)?;
    let script = "nc -w 2 10.96.7.7 9 < /dev/null; echo $?; nslookup other.default.svc.cluster.local 10.96.0.10; nc -w 2 1.1.1.1 80 < /dev/null; echo $?; wget -T 2 -O - http://127.0.0.1:9/";
    let (_, output) = machine.run("client", "refused", script).await?;
    has(&output, "(10.96.7.7): Connection refused\n1\n")?;
    has(&output, "NXDOMAIN")?;
    has(&output, "(1.1.1.1): Network is unreachable\n1\n")?;
    machine.node.set_services(Vec::new()).await.map_err(text)?;
    let (_, output) = machine.run("client", "gone", "nc -w 2 web 8080 < /dev/null").await?;
    has(&output, "Connection refused")?;
    for pod in ["a", "b", "client"] {
        machine.node.stop_pod(pod).await.map_err(text)?;
    }
    Ok(())
}

pub async fn datagrams_reach_a_service_and_come_back(machine: &Machine) -> Result {
    // The one server of datagrams that is there anyway is the node's own.
    let backends = vec![SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 10), 53)];
    machine.node.set_services(vec![service(53, Protocol::Udp, backends)]).await.map_err(text)?;
    let name = "web.default.svc.cluster.local".to_owned();
    machine.node.set_names(BTreeMap::from([(name, vec![Ipv4Addr::new(10, 96, 1, 2)])])).await.map_err(text)?;
    machine.pod("asker").await?;
    let (_, output) = machine.run("asker", "asker", "nslookup web.default.svc.cluster.local 10.96.7.7").await?;
    has(&output, "Server:\t\t10.96.7.7")?;
    has(&output, "Address: 10.96.1.2\n")?;
    machine.node.stop_pod("asker").await.map_err(text)
}

pub async fn the_owner_can_listen_inside(machine: &Machine) -> Result {
    let listener =
        machine.node.listen_in_cluster(SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 1), 443)).await.map_err(text)?;
    let serve = async {
        let (mut stream, from) = listener.accept().await.map_err(text)?;
        stream.write_all(format!("hello {}\n", from.ip()).as_bytes()).await.map_err(text)
    };
    let address = machine.pod("caller").await?;
    let call = machine.run("caller", "caller", "nc -w 2 10.96.0.1 443 < /dev/null");
    let (served, called) = tokio::join!(serve, call);
    served?;
    same(called?.1, format!("hello {address}\n"))?;
    machine.node.stop_pod("caller").await.map_err(text)
}

/// An address of this machine that is not its loopback, with somebody who answers.
async fn neighbour() -> Result<Option<tokio::net::TcpListener>> {
    // No datagram is sent: this only asks which address would be used.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").map_err(text)?;
    if probe.connect("192.0.2.1:9").is_err() {
        return Ok(None);
    }
    let address = probe.local_addr().map_err(text)?.ip();
    tokio::net::TcpListener::bind((address, 0)).await.map(Some).map_err(text)
}

pub async fn nothing_beyond_the_cluster_is_reached_unless_asked() -> Result {
    let Some(listener) = neighbour().await? else {
        // A machine without any network has nothing beyond the cluster.
        return Ok(());
    };
    let address = listener.local_addr().map_err(text)?;
    let (ip, port) = (address.ip(), address.port());
    let script =
        format!("nc -w 2 {ip} {port} < /dev/null; nslookup localhost 10.96.0.10; nslookup x.cluster.local 10.96.0.10");
    let serve = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"from outside\n").await;
        }
    });
    for asked in [false, true] {
        let machine = Machine::start_with(|options| options.outside_network = asked).await?;
        machine.pod("p").await?;
        let (_, output) = machine.run("p", "c", &script).await?;
        same(output.contains("from outside\n"), asked)?;
        same(output.contains("Address: 127.0.0.1\n"), asked)?;
        has(&output, "can't find x.cluster.local: NXDOMAIN")?;
        machine.stop().await;
    }
    serve.abort();
    Ok(())
}
