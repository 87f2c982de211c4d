//! What is written is read again, and what is no JSON is refused.

use proptest::prelude::*;

use super::{Reader, Writer};

fn written(write: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer::new();
    write(&mut writer);
    String::from_utf8(writer.finish()).unwrap()
}

#[test]
fn numbers_that_others_lose_are_kept() {
    let floats = [
        0.0,
        -0.0,
        f64::from_bits(1),
        -f64::from_bits(1),
        f64::MIN_POSITIVE / 3.0,
        f64::MAX,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.1 + 0.2,
        1e-7,
        123_456_789_012_345_680.0,
    ];
    for float in floats {
        let text = written(|w| w.f64(float));
        let read = Reader::new(text.as_bytes()).f64().unwrap();
        assert_eq!(read.to_bits(), float.to_bits(), "{text}");
    }
    let nan = written(|w| w.f64(f64::NAN));
    assert_eq!(nan, "\"nan\"");
    assert!(Reader::new(nan.as_bytes()).f64().unwrap().is_nan());
    assert_eq!(written(|w| w.f64(-0.0)), "-0.0");
    assert_eq!(written(|w| w.u64(1 << 53)), "9007199254740992");
    assert_eq!(written(|w| w.u64(u64::MAX)), "\"18446744073709551615\"");
    assert_eq!(written(|w| w.i64(i64::MIN)), "\"-9223372036854775808\"");
    for number in [0, 1, 1 << 53, (1 << 53) + 1, u64::MAX] {
        let text = written(|w| w.u64(number));
        assert_eq!(Reader::new(text.as_bytes()).u64(), Ok(number));
    }
    for number in [0, -1, i64::MIN, i64::MAX] {
        let text = written(|w| w.i64(number));
        assert_eq!(Reader::new(text.as_bytes()).i64(), Ok(number));
    }
}

#[test]
fn values_are_separated() {
    let text = written(|w| {
        w.object(|w| {
            w.key("a").array(|w| {
                w.u64(1);
                w.null();
                w.array(|_| ());
            });
            w.key("b").bool(true);
        });
    });
    assert_eq!(text, r#"{"a":[1,null,[]],"b":true}"#);
}

#[test]
fn escapes_are_read() {
    let text = r#""a\"\\\/\n\t\r\b\f\u00e9\ud83d\ude00""#;
    let read = Reader::new(text.as_bytes()).text().unwrap();
    assert_eq!(read, "a\"\\/\n\t\r\u{8}\u{c}é😀");
}

#[test]
fn what_is_no_json_is_refused() {
    let deep = "[".repeat(1000);
    for text in [
        "",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{a:1}",
        "\"",
        "\"\\",
        "\"\\u12",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"\n\"",
        "-",
        "1.",
        ".5",
        "1e",
        "tru",
        "nul",
        "+1",
        "NaN",
        &deep,
    ] {
        let mut reader = Reader::new(text.as_bytes());
        let read = reader.skip().and_then(|()| reader.end());
        assert!(read.is_err(), "{text}");
    }
    assert!(Reader::new(b"\"\xff\"").text().is_err());
    let error = Reader::new(b"[1, x]").array(|r| r.u64().map(drop));
    assert_eq!(
        error.unwrap_err().to_string(),
        "a number is wanted at byte 4"
    );
}

proptest! {
    #[test]
    fn floats_come_back(bits: u64) {
        let float = f64::from_bits(bits);
        let text = written(|w| w.f64(float));
        let read = Reader::new(text.as_bytes()).f64().unwrap();
        prop_assert!(read.to_bits() == bits || (read.is_nan() && float.is_nan()));
    }

    #[test]
    fn texts_come_back(text: String) {
        let json = written(|w| w.text(&text));
        let mut reader = Reader::new(json.as_bytes());
        prop_assert_eq!(reader.text().unwrap(), text);
        prop_assert!(reader.end().is_ok());
    }

    #[test]
    fn nothing_brings_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Reader::new(&bytes).skip();
        let _ = Reader::new(&bytes).text();
    }
}
