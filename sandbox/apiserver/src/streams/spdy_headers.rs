//! The header blocks of SPDY/3: names and values, packed by one zlib stream for each direction of a connection.
//!
//! The protocol starts both streams with a dictionary. Inflating gets it as a first stored block, so any inflater
//! will do; packing only stores, since what this side sends is next to nothing.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

/// Header names in lower case and their values, in the order of the wire.
pub(crate) type Headers = Vec<(String, String)>;

/// Why a header block could not be read; the connection's compression state is lost with it.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum HeaderError {
    /// The packed bytes are no zlib stream.
    #[error("the header block is not packed as it has to be")]
    Packing,
    /// The names and values do not fit the block's length.
    #[error("the header block ends in the middle")]
    Short,
    /// More than any client has reason to send.
    #[error("the header block is longer than {MAX_BLOCK_BYTES} bytes")]
    Long,
}

/// No client has reason to send more headers than this for one stream.
const MAX_BLOCK_BYTES: usize = 64 * 1024;

/// The words of the protocol's dictionary, in their order (an underscore is a space).
const DICTIONARY_WORDS: &str = "\
    options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
    allow authorization cache-control connection content-base content-encoding content-language content-length
    content-location content-md5 content-range content-type date etag expect expires from host if-match
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding
    upgrade user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public
    set-cookie keep-alive origin";

/// What follows the words in the dictionary.
const DICTIONARY_TAIL: &str = "\
    100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritat\
    ive Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found5\
    00 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct N\
    ov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,applic\
    ation/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf\
    -8charset=iso-8859-1,utf-,*,enq=0.";

/// The dictionary: each word behind its length, then the tail.
fn dictionary() -> Vec<u8> {
    let mut dictionary = Vec::with_capacity(1423);
    for word in DICTIONARY_WORDS.split_whitespace() {
        dictionary.put_u32(u32::try_from(word.len()).unwrap_or(u32::MAX));
        dictionary.extend(word.replace('_', " ").as_bytes());
    }
    dictionary.extend(DICTIONARY_TAIL.as_bytes());
    dictionary
}

/// Appends a stored block of deflate: it holds `data` as it is.
fn put_stored(data: &[u8], to: &mut BytesMut) {
    for piece in data.chunks(usize::from(u16::MAX)) {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        to.put_u8(0);
        to.put_u16_le(length);
        to.put_u16_le(!length);
        to.put_slice(piece);
    }
}

/// The receiving direction's zlib stream.
pub(crate) struct Unpacker {
    inflate: Decompress,
    begun: bool,
}

impl Unpacker {
    pub(crate) fn new() -> Unpacker {
        Unpacker { inflate: Decompress::new(false), begun: false }
    }

    /// Unpacks the next header block of the direction; each has to be given, in order.
    pub(crate) fn unpack(&mut self, mut block: &[u8]) -> Result<Headers, HeaderError> {
        if !self.begun && !block.is_empty() {
            block = self.begin(block)?;
        }
        let mut plain = Vec::new();
        self.inflate_all(block, &mut plain)?;
        parse(Bytes::from(plain))
    }

    /// Takes the zlib header off and feeds the dictionary when the stream was made with it.
    fn begin<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], HeaderError> {
        let (header, mut rest) = block.split_at_checked(2).ok_or(HeaderError::Packing)?;
        let is_zlib = header[0] & 0x0f == 8 && (u32::from(header[0]) * 256 + u32::from(header[1])).is_multiple_of(31);
        if !is_zlib {
            return Err(HeaderError::Packing);
        }
        if header[1] & 0x20 != 0 {
            rest = rest.get(4..).ok_or(HeaderError::Packing)?;
            let mut stored = BytesMut::new();
            put_stored(&dictionary(), &mut stored);
            self.inflate_all(&stored, &mut Vec::new())?;
        }
        self.begun = true;
        Ok(rest)
    }

    fn inflate_all(&mut self, mut packed: &[u8], plain: &mut Vec<u8>) -> Result<(), HeaderError> {
        loop {
            if plain.len() > MAX_BLOCK_BYTES {
                return Err(HeaderError::Long);
            }
            plain.reserve(4096);
            let (read, written) = (self.inflate.total_in(), plain.len());
            let status = self.inflate.decompress_vec(packed, plain, FlushDecompress::Sync);
            let read = usize::try_from(self.inflate.total_in() - read).map_err(|_| HeaderError::Packing)?;
            packed = &packed[read..];
            match status.map_err(|_| HeaderError::Packing)? {
                Status::StreamEnd => return Err(HeaderError::Packing),
                _ if plain.len() == plain.capacity() => {}
                _ if packed.is_empty() => return Ok(()),
                _ if read == 0 && plain.len() == written => return Err(HeaderError::Packing),
                _ => {}
            }
        }
    }
}

/// Reads the unpacked names and values.
fn parse(mut plain: Bytes) -> Result<Headers, HeaderError> {
    let count = plain.try_get_u32().map_err(|_| HeaderError::Short)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let name = text(&mut plain)?.to_ascii_lowercase();
        headers.push((name, text(&mut plain)?));
    }
    if plain.is_empty() { Ok(headers) } else { Err(HeaderError::Short) }
}

fn text(plain: &mut Bytes) -> Result<String, HeaderError> {
    let length = plain.try_get_u32().map_err(|_| HeaderError::Short)? as usize;
    if length > plain.len() {
        return Err(HeaderError::Short);
    }
    Ok(String::from_utf8_lossy(&plain.split_to(length)).into_owned())
}

/// The sending direction's zlib stream.
#[derive(Default)]
pub(crate) struct Packer {
    begun: bool,
}

impl Packer {
    /// Packs the next header block of the direction; each has to be sent, in order.
    pub(crate) fn pack(&mut self, headers: &[(String, String)]) -> Bytes {
        let mut plain = BytesMut::new();
        let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        plain.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(length(text));
            plain.put_slice(text.as_bytes());
        }
        let mut packed = BytesMut::new();
        if !std::mem::replace(&mut self.begun, true) {
            packed.put_slice(&[0x78, 0x01]);
        }
        put_stored(&plain, &mut packed);
        // An empty block makes the receiver hand out what it has.
        packed.put_slice(&[0, 0, 0, 0xff, 0xff]);
        packed.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Adler-32, by which zlib names a dictionary.
    fn adler32(data: &[u8]) -> u32 {
        let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), byte| {
            let a = (a + u32::from(*byte)) % 65521;
            (a, (b + a) % 65521)
        });
        b << 16 | a
    }

    #[test]
    fn the_dictionary_is_that_of_the_protocol() {
        assert_eq!((dictionary().len(), adler32(&dictionary())), (1423, 0xe3c6_a7c2));
    }

    /// What the client library of Kubernetes sent as its first two blocks of a port forward.
    #[test]
    fn recorded_blocks_are_unpacked() {
        let text = |texts: &[(&str, &str)]| -> Headers {
            texts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let first =
            b"\x78\xf9\xe3\xc6\xa7\xc2\x02\x25\x3a\x70\x3a\x2b\x29\x4a\x4d\xcc\x85\x16\x25\xac\xa9\xa0\x80\x86\x14\xcb\
            \x45\xe0\x1c\x60\x61\x60\x61\xc0\xc0\xc0\xc0\x59\x04\x89\xc6\x4c\x50\xf2\x66\x34\x00\x00\x00\x00\xff\xff";
        let second = b"\xc2\xaa\x19\x54\x0e\x25\x12\xd6\x0b\x00\x00\x00\xff\xff";
        let mut unpacker = Unpacker::new();
        let mut blocks = [first.as_slice(), second].map(|block| unpacker.unpack(block).expect("it is read"));
        for headers in &mut blocks {
            headers.sort();
        }
        let expected = |kind| text(&[("port", "8080"), ("requestid", "0"), ("streamtype", kind)]);
        assert_eq!(blocks, [expected("error"), expected("data")]);
    }

    #[test]
    fn bytes_that_are_not_packed_are_refused() {
        assert_eq!(Unpacker::new().unpack(b"hello"), Err(HeaderError::Packing));
        assert_eq!(Unpacker::new().unpack(&[0x78, 0x01, 0, 1, 0, 0xfe, 0xff, 7]), Err(HeaderError::Short));
    }

    #[test]
    fn a_block_that_blows_up_is_refused() {
        let mut bomb = BytesMut::from(&[0x78, 0x01][..]);
        put_stored(&vec![0; 3 * MAX_BLOCK_BYTES], &mut bomb);
        assert_eq!(Unpacker::new().unpack(&bomb), Err(HeaderError::Long));
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked_block_after_block(
            blocks in prop::collection::vec(prop::collection::vec(("[a-z:-]{1,20}", ".{0,40}"), 0..5), 1..6),
        ) {
            let (mut packer, mut unpacker) = (Packer::default(), Unpacker::new());
            for headers in blocks {
                prop_assert_eq!(unpacker.unpack(&packer.pack(&headers)), Ok(headers));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Unpacker::new().unpack(&bytes);
            let _ = Unpacker::new().unpack(&[&[0x78, 0xf9, 0, 0, 0, 0], bytes.as_slice()].concat());
        }
    }
}
