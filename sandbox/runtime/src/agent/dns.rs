//! The cluster's names: who asks for one that there is gets its addresses, all others learn that there is none.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;

use super::outside::Outside;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const PORT: u16 = 53;
const HEADER_BYTES: usize = 12;
/// The longest answer by UDP to who does not say that it takes more.
const DATAGRAM_BYTES: usize = 512;
const MOST_DATAGRAM_BYTES: usize = 1232;
const SECONDS_TO_LIVE: u32 = 5;

/// Names below these are the cluster's own, whether there are any or not.
const CLUSTER: &str = "cluster.local";
const REVERSE: &str = "in-addr.arpa";

const ADDRESS: u16 = 1;
const OPTIONS: u16 = 41;
const ANY: u16 = 255;

/// All names and their addresses.
#[derive(Debug, Clone, Default)]
pub struct Names {
    all: Rc<RefCell<BTreeMap<String, Vec<Ipv4Addr>>>>,
    turn: Rc<Cell<usize>>,
}

impl Names {
    /// Replaces the names that there were.
    pub fn set(&self, names: BTreeMap<String, Vec<Ipv4Addr>>) {
        *self.all.borrow_mut() = names.into_iter().map(|(name, all)| (name.to_ascii_lowercase(), all)).collect();
    }

    /// The addresses of a name, each call starting with another; `None` if there is no such name, nor any below it.
    fn find(&self, name: &str) -> Option<Vec<Ipv4Addr>> {
        let all = self.all.borrow();
        if let Some(addresses) = all.get(name) {
            let mut addresses = addresses.clone();
            if !addresses.is_empty() {
                self.turn.set(self.turn.get().wrapping_add(1));
                let turn = self.turn.get() % addresses.len();
                addresses.rotate_left(turn);
            }
            return Some(addresses);
        }
        let below = format!(".{name}");
        all.keys().any(|each| each.ends_with(&below)).then(Vec::new)
    }
}

/// Answers at an address, by UDP and by TCP, from now on.
pub async fn serve(names: &Names, address: Ipv4Addr, outside: Option<&Rc<Outside>>) -> io::Result<()> {
    let socket = Rc::new(UdpSocket::bind((address, PORT)).await?);
    let listener = TcpListener::bind((address, PORT)).await?;
    let (theirs, outward) = (names.clone(), outside.cloned());
    tokio::task::spawn_local(async move {
        let mut buffer = vec![0; MOST_DATAGRAM_BYTES];
        loop {
            let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
            if let Some((outside, question)) = outward.as_ref().zip(outward_question(&buffer[..length])) {
                let (outside, socket, message) = (outside.clone(), socket.clone(), buffer[..length].to_vec());
                tokio::task::spawn_local(async move {
                    let found = Some(outside.resolve(&question.name).await).filter(|found| !found.is_empty());
                    let _ = socket.send_to(&compose(&message, &question, found, question.datagram_bytes), client).await;
                });
            } else if let Some(answer) = answer(&buffer[..length], &theirs, None) {
                let _ = socket.send_to(&answer, client).await;
            }
        }
    });
    let theirs = names.clone();
    tokio::task::spawn_local(async move {
        loop {
            let Ok((client, _)) = listener.accept().await else { continue };
            tokio::task::spawn_local(converse(client, theirs.clone()));
        }
    });
    Ok(())
}

async fn converse(mut client: TcpStream, names: Names) -> io::Result<()> {
    loop {
        let mut question = vec![0; client.read_u16().await?.into()];
        client.read_exact(&mut question).await?;
        let Some(answer) = answer(&question, &names, Some(usize::from(u16::MAX))) else { return Ok(()) };
        client.write_u16(u16::try_from(answer.len()).unwrap_or(u16::MAX)).await?;
        client.write_all(&answer).await?;
    }
}

/// What somebody asks for.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    name: String,
    kind: u16,
    /// Where the question ends, the header being counted.
    end: usize,
    /// How long a datagram the asker takes.
    datagram_bytes: usize,
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Reads a message with one question, as all are.
fn parse(message: &[u8]) -> Option<Question> {
    let is_answer = message.get(2)? & 0x80 != 0;
    if is_answer || number(message, 4)? != 1 {
        return None;
    }
    let mut name = String::new();
    let mut at = HEADER_BYTES;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => {
                let label = message.get(at..at + length)?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
                at += length;
            }
            _ => return None,
        }
    }
    let (kind, end) = (number(message, at)?, at + 4);
    message.get(..end)?;
    // An option record starts with the empty name; its class says how much the asker takes.
    let has_options =
        number(message, 10)? > 0 && message.get(end) == Some(&0) && number(message, end + 1) == Some(OPTIONS);
    let datagram_bytes = if has_options { usize::from(number(message, end + 3)?) } else { DATAGRAM_BYTES };
    Some(Question { name, kind, end, datagram_bytes: datagram_bytes.clamp(DATAGRAM_BYTES, MOST_DATAGRAM_BYTES) })
}

/// The answer to a message, at most so long; `None` for what is no question at all.
fn answer(message: &[u8], names: &Names, limit: Option<usize>) -> Option<Vec<u8>> {
    let question = parse(message)?;
    let limit = limit.unwrap_or(question.datagram_bytes);
    Some(compose(message, &question, names.find(&question.name), limit))
}

/// A question that nobody in the cluster can answer. Other kinds than addresses are not asked for outside.
fn outward_question(message: &[u8]) -> Option<Question> {
    let question = parse(message)?;
    let is_own = [CLUSTER, REVERSE]
        .iter()
        .any(|domain| question.name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    (question.kind == ADDRESS && !is_own && !question.name.is_empty()).then_some(question)
}

/// The answer to a question whose name was found, or not.
fn compose(message: &[u8], question: &Question, found: Option<Vec<Ipv4Addr>>, limit: usize) -> Vec<u8> {
    const RECURSION_DESIRED: u8 = 0x01;
    const NO_SUCH_NAME: u8 = 3;
    let code = if found.is_some() { 0 } else { NO_SUCH_NAME };
    let addresses =
        if question.kind == ADDRESS || question.kind == ANY { found.unwrap_or_default() } else { Vec::new() };
    let mut answer = message[..question.end].to_vec();
    // An authoritative answer to a standard question; recursion is said to be available, since some insist on it.
    answer[2] = 0x84 | message[2] & RECURSION_DESIRED;
    answer[3] = 0x80 | code;
    answer[6..HEADER_BYTES].fill(0);
    let mut count = 0_u16;
    for address in addresses {
        if answer.len() + 16 > limit {
            const TRUNCATED: u8 = 0x02;
            answer[2] |= TRUNCATED;
            break;
        }
        // The name is the question's; class internet.
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        answer.extend_from_slice(&SECONDS_TO_LIVE.to_be_bytes());
        answer.extend_from_slice(&[0, 4]);
        answer.extend_from_slice(&address.octets());
        count += 1;
    }
    answer[6..8].copy_from_slice(&count.to_be_bytes());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).expect("short"));
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message
    }

    fn names(count: u8) -> Names {
        let names = Names::default();
        let addresses = (0..count).map(|last| Ipv4Addr::new(10, 96, 0, last)).collect();
        names.set(BTreeMap::from([("web.default.svc.cluster.local".to_owned(), addresses)]));
        names
    }

    fn ask(names: &Names, name: &str, kind: u16, limit: Option<usize>) -> (u8, u16, bool) {
        let answer = answer(&question(name, kind), names, limit).expect("an answer");
        assert_eq!(answer[..2], [0xab, 0xcd]);
        (answer[3] & 15, number(&answer, 6).expect("a count"), answer[2] & 2 != 0)
    }

    #[test]
    fn names_are_found_in_any_case_and_others_do_not_exist() {
        let names = names(2);
        assert_eq!(ask(&names, "Web.default.SVC.cluster.local", ADDRESS, None), (0, 2, false));
        assert_eq!(ask(&names, "web", ADDRESS, None), (3, 0, false));
        assert_eq!(ask(&names, "web.default.svc.cluster.local", 28, None), (0, 0, false));
        assert_eq!(ask(&names, "svc.cluster.local", ADDRESS, None), (0, 0, false));
    }

    #[test]
    fn an_answer_that_is_too_long_is_cut_and_says_so() {
        let names = names(60);
        let (code, count, cut) = ask(&names, "web.default.svc.cluster.local", ADDRESS, None);
        assert!(code == 0 && count < 60 && cut);
        assert_eq!(ask(&names, "web.default.svc.cluster.local", ADDRESS, Some(65_535)), (0, 60, false));
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let names = names(1);
        let whole = question("web", ADDRESS);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length], &names, None), None, "{length}");
        }
        let mut reply = whole.clone();
        reply[2] |= 0x80;
        assert_eq!(answer(&reply, &names, None), None);
    }
}
