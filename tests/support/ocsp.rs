//! OCSP responses (RFC 6960), as good as those of a CA but for their signature, which a server
//! does not look at.

/// The response for a certificate with this serial number. `until`: as in `20300101000000Z`.
pub fn response(serial: &[u8], until: &str) -> Vec<u8> {
    let time = |text: &str| value(0x18, text.as_bytes());
    let sha1 = value(0x30, &value(0x06, &[0x2b, 0x0e, 0x03, 0x02, 0x1a]));
    let hash = value(0x04, &[7; 20]);
    let id = value(0x30, &[sha1.as_slice(), &hash, &hash, &value(0x02, serial)].concat());
    let good = value(0x80, &[]);
    let single = [id, good, time("20200101000000Z"), value(0xa0, &time(until))].concat();
    let responses = value(0x30, &value(0x30, &single));
    let data = [value(0xa2, &hash), time("20200101000000Z"), responses].concat();
    let basic = [value(0x30, &data), sha1_with_rsa(), value(0x03, &[0, 1, 2, 3])].concat();
    let oid = value(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01]);
    let bytes = value(0x30, &[oid, value(0x04, &value(0x30, &basic))].concat());
    value(0x30, &[value(0x0a, &[0]), value(0xa0, &bytes)].concat())
}

fn sha1_with_rsa() -> Vec<u8> {
    value(0x30, &value(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05]))
}

/// DER of a value with this tag.
fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let low = u8::try_from(length & 0xff).unwrap();
    let length = match length {
        0..0x80 => vec![low],
        0x80..0x100 => vec![0x81, low],
        _ => vec![0x82, u8::try_from(length >> 8).unwrap(), low],
    };
    [&[tag][..], &length, content].concat()
}
