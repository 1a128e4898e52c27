//! Bodies in Kubernetes' protobuf form, which some of kubectl's commands send. Answers are always JSON.

use std::collections::HashMap;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::body::Read;
use crate::Status;

/// What every such body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// No object of these kinds is nested deeper.
const DEPTH: u8 = 60;

type Messages = HashMap<&'static str, HashMap<u64, Field>>;

#[derive(Debug, Clone, Copy)]
struct Field {
    name: &'static str,
    label: Label,
    form: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    One,
    List,
    Map,
    /// The message's fields stand in its place.
    Here,
}

/// The messages, by name; the data tells each one's fields.
fn messages() -> &'static Messages {
    static MESSAGES: OnceLock<Messages> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        include_str!("../../data/messages.txt")
            .lines()
            .filter_map(|line| {
                let mut parts = line.split('|');
                Some((parts.next()?, parts.filter_map(field).collect()))
            })
            .collect()
    })
}

fn field(text: &'static str) -> Option<(u64, Field)> {
    let mut parts = text.split(' ');
    let (number, name, form) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    let label = match form.as_bytes().first()? {
        b'*' => Label::List,
        b'%' => Label::Map,
        b'^' => Label::Here,
        _ => Label::One,
    };
    Some((number, Field { name, label, form: form.trim_start_matches(['*', '%', '^']) }))
}

/// Reads a body: the wrapper that names the kind, and the object in it.
pub(super) fn read(bytes: &[u8]) -> Result<Read, Status> {
    let bad = || Status::bad_request("the body is not an object in Kubernetes' protobuf form");
    let wrapper = bytes.strip_prefix(MAGIC).ok_or_else(bad)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    each(wrapper, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(inside)) => each(inside, |number, wire| {
                if let Wire::Bytes(text) = wire {
                    let text = String::from_utf8_lossy(text).into_owned();
                    *(if number == 1 { &mut api_version } else { &mut kind }) = text;
                }
                Some(())
            })?,
            (2, Wire::Bytes(inside)) => raw = inside,
            _ => {}
        }
        Some(())
    })
    .ok_or_else(bad)?;
    let name = name(&api_version, &kind);
    let fields = messages().get(name.as_str()).ok_or_else(|| {
        Status::bad_request(format!("no kind \"{kind}\" is registered for version \"{api_version}\" in protobuf"))
    })?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    message(fields, raw, &mut object, DEPTH).ok_or_else(bad)?;
    Ok(Read { value: Value::Object(object), duplicates: Vec::new() })
}

/// The message of a kind: groups are known by the first word of their name.
fn name(api_version: &str, kind: &str) -> String {
    if kind == "DeleteOptions" {
        return "meta.v1.DeleteOptions".to_owned();
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    format!("{}.{version}.{kind}", group.split('.').next().unwrap_or_default())
}

/// A value as it is on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Calls for each field of a message; none when it is not one.
fn each<'a>(mut bytes: &'a [u8], mut take: impl FnMut(u64, Wire<'a>) -> Option<()>) -> Option<()> {
    while !bytes.is_empty() {
        let key = number(&mut bytes)?;
        let wire = match key & 7 {
            0 => Wire::Number(number(&mut bytes)?),
            1 => Wire::Number(u64::from_le_bytes(split(&mut bytes, 8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(number(&mut bytes)?).ok()?;
                Wire::Bytes(split(&mut bytes, length)?)
            }
            5 => Wire::Number(u64::from(u32::from_le_bytes(split(&mut bytes, 4)?.try_into().ok()?))),
            _ => return None,
        };
        take(key >> 3, wire)?;
    }
    Some(())
}

fn split<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(first)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = split(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn message(fields: &HashMap<u64, Field>, bytes: &[u8], into: &mut Map<String, Value>, depth: u8) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    each(bytes, |number, wire| {
        // Fields that are newer than this are passed over, as protobuf wants it.
        let Some(field) = fields.get(&number) else { return Some(()) };
        match field.label {
            Label::Here => {
                let (Some(inner), Wire::Bytes(bytes)) = (messages().get(field.form), wire) else { return None };
                message(inner, bytes, into, depth)?;
            }
            Label::One => {
                into.insert(field.name.to_owned(), value(field.form, wire, depth)?);
            }
            Label::List => {
                let list = into.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut()?.push(value(field.form, wire, depth)?);
            }
            Label::Map => {
                let Wire::Bytes(entry) = wire else { return None };
                let map = into.entry(field.name).or_insert_with(|| Value::Object(Map::new())).as_object_mut()?;
                let (mut key, mut content) = (String::new(), None);
                each(entry, |number, wire| {
                    match (number, wire) {
                        (1, Wire::Bytes(text)) => key = String::from_utf8_lossy(text).into_owned(),
                        _ => content = Some(value(field.form, wire, depth)?),
                    }
                    Some(())
                })?;
                let empty = if matches!(field.form, "s" | "y" | "!string") { Value::from("") } else { Value::Null };
                map.insert(key, content.unwrap_or(empty));
            }
        }
        Some(())
    })
}

fn value(form: &str, wire: Wire<'_>, depth: u8) -> Option<Value> {
    match (form, wire) {
        ("b", Wire::Number(number)) => Some(Value::Bool(number != 0)),
        ("i", Wire::Number(number)) => Some(Value::from(number.cast_signed())),
        ("d", Wire::Number(number)) => Number::from_f64(f64::from_bits(number)).map(Value::Number),
        ("s", Wire::Bytes(text)) => Some(Value::String(String::from_utf8(text.to_vec()).ok()?)),
        ("y", Wire::Bytes(bytes)) => Some(Value::String(STANDARD.encode(bytes))),
        (_, Wire::Bytes(bytes)) => {
            if let Some(form) = form.strip_prefix('!') {
                return own(form, bytes);
            }
            let mut object = Map::new();
            message(messages().get(form)?, bytes, &mut object, depth)?;
            Some(Value::Object(object))
        }
        _ => None,
    }
}

/// Messages that are something else in JSON.
fn own(form: &str, bytes: &[u8]) -> Option<Value> {
    let (mut numbers, mut texts) = ([0u64; 4], Vec::new());
    each(bytes, |number, wire| {
        match wire {
            Wire::Number(value) => *numbers.get_mut(usize::try_from(number).ok()?)? = value,
            Wire::Bytes(text) => texts.push(text),
        }
        Some(())
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let first = texts.first().copied().unwrap_or_default();
    let signed = |place: usize| numbers[place].cast_signed();
    Some(match form {
        // No time at all is an empty message.
        "time" | "micro" if bytes.is_empty() => Value::Null,
        "time" => Timestamp::from_second(signed(1)).ok()?.to_string().into(),
        "micro" => {
            let time = Timestamp::new(signed(1), i32::try_from(signed(2)).ok()?).ok()?;
            format!("{time:.6}").into()
        }
        "either" if numbers[1] == 0 => Value::from(signed(2)),
        "either" | "string" => text(first).into(),
        "json" if first.is_empty() => Value::Null,
        "json" => serde_json::from_slice(first).ok()?,
        "nanoseconds" => format!("{}s", signed(1) / 1_000_000_000).into(),
        "items" => texts.into_iter().map(|each| Value::from(text(each))).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A length-delimited field.
    fn put(number: u8, inside: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(inside.len()).expect("short")], inside].concat()
    }

    fn wrapped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let names = [put(1, api_version.as_bytes()), put(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), put(1, &names), put(2, raw)].concat()
    }

    #[test]
    fn an_object_in_protobuf_is_the_same_object() {
        let label = put(11, &[put(1, b"app"), put(2, b"web")].concat());
        let metadata = put(1, &[put(1, b"one"), put(8, &[8, 60]), label].concat());
        let data = put(2, &[put(1, b"key"), put(2, b"value")].concat());
        let read = read(&wrapped("v1", "ConfigMap", &[metadata, data].concat())).expect("it is one");
        let metadata = json!({"name": "one", "creationTimestamp": "1970-01-01T00:01:00Z", "labels": {"app": "web"}});
        let expected = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"}});
        assert_eq!(read.value, expected);
    }

    #[test]
    fn fields_of_embedded_messages_stand_in_their_place() {
        // spec.volumes[0]: name, and the source's emptyDir with its medium.
        let volume = [put(1, b"tmp"), put(2, &put(2, &put(1, b"Memory")))].concat();
        let read = read(&wrapped("v1", "Pod", &put(2, &put(1, &volume)))).expect("it is one");
        assert_eq!(read.value["spec"]["volumes"], json!([{"name": "tmp", "emptyDir": {"medium": "Memory"}}]));
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let whole = wrapped("v1", "ConfigMap", &put(1, &put(1, b"one")));
        assert!(read(&whole).is_ok());
        for length in 0..whole.len() {
            let refused = read(&whole[..length]).is_err();
            // Between two fields a message may end.
            assert!(refused || length > 4, "{length}");
        }
        assert_eq!(read(&wrapped("v1", "Nothing", b"")).expect_err("no such kind").code, 400);
    }

    #[test]
    fn every_message_that_is_named_is_there() {
        let messages = messages();
        for (name, fields) in messages {
            for field in fields.values() {
                let simple = field.form.len() == 1 || field.form.starts_with('!');
                assert!(simple || messages.contains_key(field.form), "{name}.{}: {}", field.name, field.form);
            }
        }
        assert!(messages.contains_key("core.v1.Pod"));
    }
}
