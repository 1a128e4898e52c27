//! The frames of SPDY/3.1, as far as streams of pods use them. Pure: bytes in, frames out, and the other way.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::spdy_headers::{HeaderError, Headers, Packer, Unpacker};

/// What one side tells the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    /// A stream begins.
    Open { stream: u32, headers: Headers, last: bool },
    /// The stream is taken.
    Reply { stream: u32, headers: Headers, last: bool },
    /// More headers of a stream.
    Headers { stream: u32, headers: Headers, last: bool },
    /// Bytes of a stream; after the last ones its sender says no more.
    Data { stream: u32, data: Bytes, last: bool },
    /// The stream ends at once, both ways.
    Reset { stream: u32, status: u32 },
    /// Is sent back as it came.
    Ping { id: u32 },
    /// No new streams.
    GoAway { last_stream: u32, status: u32 },
    /// The receiver has room for more bytes.
    Window { stream: u32, more: u32 },
    /// Settings: number and value.
    Settings(Vec<(u32, u32)>),
}

/// [`Frame::Reset`]: the stream broke the protocol.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
/// [`Frame::Reset`]: the stream is no longer wanted.
pub(crate) const CANCEL: u32 = 5;

/// Why the bytes of a connection are no SPDY/3.1; nothing can be read after it.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum SpdyError {
    /// Another protocol, or another version.
    #[error("version {0} of SPDY is not spoken here, only 3")]
    Version(u16),
    /// A frame that does not exist.
    #[error("there is no frame of type {0}")]
    Type(u16),
    /// The frame's own length does not fit its type.
    #[error("a frame of type {0} ends in the middle")]
    Short(u16),
    /// Control frames are small.
    #[error("a control frame of {0} bytes is too long")]
    Long(usize),
    /// Its headers cannot be read.
    #[error("the headers of a frame cannot be read")]
    Headers(#[from] HeaderError),
}

const TYPE_OPEN: u16 = 1;
const TYPE_REPLY: u16 = 2;
const TYPE_RESET: u16 = 3;
const TYPE_SETTINGS: u16 = 4;
const TYPE_PING: u16 = 6;
const TYPE_GO_AWAY: u16 = 7;
const TYPE_HEADERS: u16 = 8;
const TYPE_WINDOW: u16 = 9;

const CONTROL: u16 = 0x8000;
const VERSION: u16 = 3;
const LAST: u8 = 1;
const STREAM_MASK: u32 = 0x7fff_ffff;
const HEADER_BYTES: usize = 8;
const MAX_CONTROL_BYTES: usize = 64 * 1024;
/// Longer ones are cut, so that a receiver never has to hold much.
const MAX_DATA_BYTES: usize = 1 << 20;

/// Reads one direction of a connection.
pub(crate) struct Decoder {
    unpacker: Unpacker,
    /// A data frame of which bytes are still to come: stream, how many, last.
    data: Option<(u32, usize, bool)>,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { unpacker: Unpacker::new(), data: None }
    }

    /// Takes the next frame off the front of `bytes`; `None` when more bytes are needed. Long data frames are handed out
    /// in pieces.
    pub(crate) fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, SpdyError> {
        if let Some((stream, missing, last)) = self.data {
            return Ok(self.decode_data(bytes, stream, missing, last));
        }
        let Some((mut header, _)) = bytes.split_at_checked(HEADER_BYTES) else { return Ok(None) };
        let (first, second) = (header.get_u32(), header.get_u32());
        let (flags, length) = (second.to_be_bytes()[0], (second & 0x00ff_ffff) as usize);
        let [high, low] = [first >> 16, first & 0xffff].map(|half| u16::try_from(half).unwrap_or_default());
        if high & CONTROL == 0 {
            bytes.advance(HEADER_BYTES);
            return Ok(self.decode_data(bytes, first, length, flags & LAST != 0));
        }
        if high & !CONTROL != VERSION {
            return Err(SpdyError::Version(high & !CONTROL));
        }
        if length > MAX_CONTROL_BYTES {
            return Err(SpdyError::Long(length));
        }
        if bytes.len() < HEADER_BYTES + length {
            return Ok(None);
        }
        bytes.advance(HEADER_BYTES);
        let body = bytes.split_to(length).freeze();
        self.decode_control(low, flags, body).map(Some)
    }

    fn decode_data(&mut self, bytes: &mut BytesMut, stream: u32, missing: usize, last: bool) -> Option<Frame> {
        let data = bytes.split_to(missing.min(bytes.len())).freeze();
        let missing = missing - data.len();
        self.data = (missing > 0).then_some((stream, missing, last));
        if data.is_empty() && missing > 0 {
            return None;
        }
        Some(Frame::Data { stream, data, last: last && missing == 0 })
    }

    fn decode_control(&mut self, kind: u16, flags: u8, mut body: Bytes) -> Result<Frame, SpdyError> {
        let last = flags & LAST != 0;
        let number = |body: &mut Bytes| body.try_get_u32().map_err(|_| SpdyError::Short(kind));
        let first = number(&mut body)?;
        let stream = first & STREAM_MASK;
        Ok(match kind {
            TYPE_OPEN => {
                // The associated stream, then priority and slot: nobody uses them.
                let block = body.get(6..).ok_or(SpdyError::Short(kind))?;
                Frame::Open { stream, headers: self.unpacker.unpack(block)?, last }
            }
            TYPE_REPLY => Frame::Reply { stream, headers: self.unpacker.unpack(&body)?, last },
            TYPE_HEADERS => Frame::Headers { stream, headers: self.unpacker.unpack(&body)?, last },
            TYPE_RESET => Frame::Reset { stream, status: number(&mut body)? },
            TYPE_PING => Frame::Ping { id: first },
            TYPE_GO_AWAY => Frame::GoAway { last_stream: stream, status: number(&mut body)? },
            TYPE_WINDOW => Frame::Window { stream, more: number(&mut body)? & STREAM_MASK },
            TYPE_SETTINGS => {
                let pair = |_| Ok((number(&mut body)? & 0x00ff_ffff, number(&mut body)?));
                Frame::Settings((0..first).map(pair).collect::<Result<_, SpdyError>>()?)
            }
            unknown => return Err(SpdyError::Type(unknown)),
        })
    }
}

/// Writes one direction of a connection.
#[derive(Default)]
pub(crate) struct Encoder {
    packer: Packer,
}

impl Encoder {
    /// Appends a frame; data that is too long for one becomes several.
    pub(crate) fn encode(&mut self, frame: &Frame, to: &mut BytesMut) {
        match frame {
            Frame::Open { stream, headers, last } => {
                let block = self.packer.pack(headers);
                put_control(TYPE_OPEN, *last, 10 + block.len(), to);
                to.put_u32(*stream);
                to.put_slice(&[0; 6]);
                to.put_slice(&block);
            }
            Frame::Reply { stream, headers, last } => self.put_headers(TYPE_REPLY, *stream, headers, *last, to),
            Frame::Headers { stream, headers, last } => self.put_headers(TYPE_HEADERS, *stream, headers, *last, to),
            Frame::Data { stream, data, last } => put_data(*stream, data, *last, to),
            Frame::Reset { stream, status } => put_numbers(TYPE_RESET, &[*stream, *status], to),
            Frame::Ping { id } => put_numbers(TYPE_PING, &[*id], to),
            Frame::GoAway { last_stream, status } => put_numbers(TYPE_GO_AWAY, &[*last_stream, *status], to),
            Frame::Window { stream, more } => put_numbers(TYPE_WINDOW, &[*stream, *more], to),
            Frame::Settings(pairs) => {
                let count = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
                let pairs = pairs.iter().flat_map(|(id, value)| [*id, *value]);
                put_numbers(TYPE_SETTINGS, &std::iter::once(count).chain(pairs).collect::<Vec<_>>(), to);
            }
        }
    }

    fn put_headers(&mut self, kind: u16, stream: u32, headers: &Headers, last: bool, to: &mut BytesMut) {
        let block = self.packer.pack(headers);
        put_control(kind, last, 4 + block.len(), to);
        to.put_u32(stream);
        to.put_slice(&block);
    }
}

fn put_control(kind: u16, last: bool, length: usize, to: &mut BytesMut) {
    to.put_u16(CONTROL | VERSION);
    to.put_u16(kind);
    put_flags_and_length(last, length, to);
}

fn put_flags_and_length(last: bool, length: usize, to: &mut BytesMut) {
    to.put_u8(if last { LAST } else { 0 });
    to.put_uint(length as u64, 3);
}

fn put_numbers(kind: u16, numbers: &[u32], to: &mut BytesMut) {
    put_control(kind, false, 4 * numbers.len(), to);
    for number in numbers {
        to.put_u32(*number);
    }
}

fn put_data(stream: u32, data: &[u8], last: bool, to: &mut BytesMut) {
    let mut rest = data;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(MAX_DATA_BYTES));
        rest = after;
        to.put_u32(stream);
        put_flags_and_length(last && rest.is_empty(), piece.len(), to);
        to.put_slice(piece);
        if rest.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A port forward of one request, as the client library of Kubernetes sends it.
    const RECORDED: &[&str] = &[
        "800300010000003e0000000100000000000078f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45e01c60616061c0c0c0c059\
         0489c64c50f2663400000000ffff",
        "800300010000001800000003000000000000c2aa19540e2512d60b000000ffff",
        "0000000101000000",
        "0000000300000012474554202f20485454502f312e300d0a0d0a",
        "800300060000000400000001",
        "80030003000000080000000300000005",
        "80030007000000080000000000000000",
    ];

    fn bytes(hex: &str) -> BytesMut {
        let digits = hex.as_bytes().chunks(2);
        digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    fn headers(kind: &str) -> Headers {
        [("port", "8080"), ("requestid", "0"), ("streamtype", kind)].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
    }

    fn decode_all(decoder: &mut Decoder, from: &mut BytesMut) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.decode(from).expect("it is SPDY")).collect()
    }

    #[test]
    fn recorded_frames_are_read() {
        let mut decoder = Decoder::new();
        let mut read = Vec::new();
        for frame in RECORDED {
            read.extend(decode_all(&mut decoder, &mut bytes(frame)));
        }
        for frame in &mut read {
            if let Frame::Open { headers, .. } = frame {
                headers.sort();
            }
        }
        let request = Bytes::from_static(b"GET / HTTP/1.0\r\n\r\n");
        let expected = vec![
            Frame::Open { stream: 1, headers: headers("error"), last: false },
            Frame::Open { stream: 3, headers: headers("data"), last: false },
            Frame::Data { stream: 1, data: Bytes::new(), last: true },
            Frame::Data { stream: 3, data: request, last: false },
            Frame::Ping { id: 1 },
            Frame::Reset { stream: 3, status: CANCEL },
            Frame::GoAway { last_stream: 0, status: 0 },
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn frames_without_headers_are_written_as_recorded() {
        for frame in &RECORDED[2..] {
            let read = Decoder::new().decode(&mut bytes(frame)).unwrap().unwrap();
            let mut written = BytesMut::new();
            Encoder::default().encode(&read, &mut written);
            assert_eq!(written, bytes(frame), "{read:?}");
        }
    }

    #[test]
    fn what_is_not_spdy_is_refused_with_the_reason() {
        let refusals = [
            ("800200010000000000000000", SpdyError::Version(2)),
            ("8003000500000004 00000000", SpdyError::Type(5)),
            ("8003000300000004 00000001", SpdyError::Short(TYPE_RESET)),
            ("8003000100ffffff", SpdyError::Long(0x00ff_ffff)),
        ];
        for (hex, expected) in refusals {
            assert_eq!(Decoder::new().decode(&mut bytes(&hex.replace(' ', ""))), Err(expected), "{hex}");
        }
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let stream = 0..=STREAM_MASK;
        let headers = prop::collection::vec(("[a-z]{1,9}", "[ -~]{0,20}"), 0..4);
        let data = prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        prop_oneof![
            (stream.clone(), headers.clone(), any::<bool>()).prop_map(|(stream, headers, last)| Frame::Open {
                stream,
                headers,
                last
            }),
            (stream.clone(), headers.clone(), any::<bool>()).prop_map(|(stream, headers, last)| Frame::Reply {
                stream,
                headers,
                last
            }),
            (stream.clone(), headers, any::<bool>()).prop_map(|(stream, headers, last)| Frame::Headers {
                stream,
                headers,
                last
            }),
            (stream.clone(), data, any::<bool>()).prop_map(|(stream, data, last)| Frame::Data { stream, data, last }),
            (stream.clone(), any::<u32>()).prop_map(|(stream, status)| Frame::Reset { stream, status }),
            any::<u32>().prop_map(|id| Frame::Ping { id }),
            (stream.clone(), any::<u32>()).prop_map(|(last_stream, status)| Frame::GoAway { last_stream, status }),
            (stream.clone(), stream).prop_map(|(stream, more)| Frame::Window { stream, more }),
            prop::collection::vec((0_u32..1 << 24, any::<u32>()), 0..5).prop_map(Frame::Settings),
        ]
    }

    /// Joins the pieces of a data frame that came in pieces.
    fn joined(frames: Vec<Frame>) -> Vec<Frame> {
        let mut all: Vec<Frame> = Vec::new();
        for frame in frames {
            match (all.last_mut(), &frame) {
                (
                    Some(Frame::Data { stream, data, last: last @ false }),
                    Frame::Data { stream: same, data: more, last: end },
                ) if stream == same => {
                    *data = [&data[..], &more[..]].concat().into();
                    *last = *end;
                }
                _ => all.push(frame),
            }
        }
        all
    }

    proptest! {
        #[test]
        fn frames_survive_the_wire_however_it_cuts_them(
            frames in prop::collection::vec(frame(), 1..8), cut in 1_usize..40,
        ) {
            let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new());
            let (mut wire, mut buffer, mut read) = (BytesMut::new(), BytesMut::new(), Vec::new());
            for frame in &frames {
                encoder.encode(frame, &mut wire);
            }
            for piece in wire.chunks(cut) {
                buffer.extend_from_slice(piece);
                read.extend(decode_all(&mut decoder, &mut buffer));
            }
            prop_assert_eq!(joined(read), joined(frames));
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = BytesMut::from(&bytes[..]);
            let mut decoder = Decoder::new();
            while let Ok(Some(_)) = decoder.decode(&mut bytes) {}
        }
    }

    #[test]
    fn long_data_is_cut_into_frames() {
        let data = Bytes::from(vec![7; MAX_DATA_BYTES + 1]);
        let mut wire = BytesMut::new();
        Encoder::default().encode(&Frame::Data { stream: 1, data, last: true }, &mut wire);
        let frames = decode_all(&mut Decoder::new(), &mut wire);
        let told: Vec<_> = frames.iter().map(|frame| matches!(frame, Frame::Data { last: true, .. })).collect();
        assert_eq!(told, [false, true]);
    }
}
