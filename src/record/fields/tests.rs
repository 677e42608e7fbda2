//! What is written is read back.

use proptest::prelude::*;

use super::*;

/// Writes some of itself, then panics.
struct Panics(String);

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)?;
        panic!("a fault of Debug")
    }
}

#[test]
fn a_debug_that_panics_leaves_what_it_wrote_and_a_mark() {
    // Three bytes a letter: the cut is on a character boundary.
    for (text, kept) in [("id 7", 4), ("", 0), (&*"€".repeat(FIELD_LIMIT / 3), (FIELD_LIMIT - PANICKED.len()) / 3 * 3)] {
        let mut buffer = Vec::new();
        let mut writer = FieldWriter::new(&mut buffer);
        writer.display(Key::Index(0), format_args!("{:?}", Panics(text.to_owned())));
        writer.u64(Key::Index(1), 5);

        let fields: Vec<_> = FieldReader::new(&buffer).collect();

        let expected = format!("{}{PANICKED}", &text.get(..kept).unwrap_or_default());
        assert_eq!(fields, [(Key::Index(0), FieldValue::Text(&expected)), (Key::Index(1), FieldValue::U64(5))]);
    }
}

#[test]
fn fields_read_back_as_written() {
    let mut buffer = Vec::new();
    let mut writer = FieldWriter::new(&mut buffer);
    writer.bool(Key::Index(0), true);
    writer.i64(Key::Name("offset"), -7);
    writer.u64(Key::Index(2), u64::MAX);
    writer.f64(Key::Index(3), 0.5);
    writer.text(Key::Index(4), "käse");
    writer.display(Key::Name("shown"), format_args!("{:?}", Some(1)));

    let fields: Vec<_> = FieldReader::new(&buffer).collect();

    assert_eq!(
        fields,
        [
            (Key::Index(0), FieldValue::Bool(true)),
            (Key::Name("offset"), FieldValue::I64(-7)),
            (Key::Index(2), FieldValue::U64(u64::MAX)),
            (Key::Index(3), FieldValue::F64(0.5)),
            (Key::Index(4), FieldValue::Text("käse")),
            (Key::Name("shown"), FieldValue::Text("Some(1)")),
        ]
    );
}

#[test]
fn a_name_of_any_length_leaves_the_fields_behind_it_readable() {
    let long = "ä".repeat(200);
    let mut buffer = Vec::new();
    let mut writer = FieldWriter::new(&mut buffer);
    writer.u64(Key::Name(&long), 1);
    writer.text(Key::Name(&long), "two");
    writer.text(Key::Name("next"), "three");

    let fields: Vec<_> = FieldReader::new(&buffer).collect();

    let cut = format!("{}…", "ä".repeat(126));
    let (cut, mark) = (Key::Name(&cut), |count| (Key::Name(TRUNCATED), FieldValue::U64(count)));
    let expected =
        [mark(1), (cut, FieldValue::U64(1)), mark(2), (cut, FieldValue::Text("two")), (Key::Name("next"), FieldValue::Text("three"))];
    assert_eq!(fields, expected);
}

#[test]
fn endless_debug_output_is_cut_at_the_limit() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("ä")?;
            }
        }
    }
    let mut buffer = Vec::new();

    FieldWriter::new(&mut buffer).display(Key::Index(0), format_args!("{Endless:?}"));

    let Some((_, FieldValue::Text(text))) = FieldReader::new(&buffer).next() else { panic!("no text") };
    assert!(text.len() <= FIELD_LIMIT && text.ends_with("ä…"), "{} bytes", text.len());
}

#[test]
fn a_text_that_is_cut_says_so_and_the_fields_behind_it_stay() {
    let mut buffer = Vec::new();
    let mut writer = FieldWriter::new(&mut buffer);
    writer.text(Key::Index(0), &"x".repeat(FIELD_LIMIT + 1));
    writer.display(Key::Index(1), format_args!("{}{}", "y".repeat(FIELD_LIMIT), 1));
    writer.bool(Key::Index(2), true);

    assert_eq!(writer.truncated(), 2);
    let fields: Vec<_> = FieldReader::new(&buffer).collect();
    let [(_, FieldValue::Text(first)), one, (_, FieldValue::Text(second)), two, last] = fields[..] else { panic!("{fields:?}") };
    assert!(first.len() == FIELD_LIMIT && first.ends_with("x…") && second.len() == FIELD_LIMIT && second.ends_with("y…"));
    let mark = |count| (Key::Name(TRUNCATED), FieldValue::U64(count));
    assert_eq!((one, two, last), (mark(1), mark(2), (Key::Index(2), FieldValue::Bool(true))));
}

proptest! {
    #[test]
    fn any_text_reads_back_cut_at_a_character(text in ".{0,9000}") {
        let mut buffer = Vec::new();

        FieldWriter::new(&mut buffer).text(Key::Index(9), &text);

        let Some((Key::Index(9), FieldValue::Text(read))) = FieldReader::new(&buffer).next() else { panic!("no text") };
        let is_cut = text.len() > FIELD_LIMIT;
        let is_whole = read == text;
        let is_begin = read.strip_suffix(CUT_MARK).is_some_and(|kept| text.starts_with(kept));
        prop_assert!(is_whole != is_cut && is_begin == is_cut);
        prop_assert!(read.len() <= FIELD_LIMIT);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(FieldReader::new(&bytes).count() <= bytes.len());
    }
}

#[test]
fn a_list_reads_back_and_beyond_its_limit_it_is_marked() {
    let of = |texts: &[String]| AttributeValue::from(texts.to_vec());
    let mixed = AttributeValue::List(vec![true.into(), (-7).into(), 0.5.into(), "käse".into(), of(&["in".to_owned()])]);
    let long: Vec<_> = (0..100).map(|number| format!("{number:02} {}", "word ".repeat(60))).collect();
    let huge = [String::new(), "word ".repeat(FIELD_LIMIT), "behind".to_owned()];
    let mut buffer = Vec::new();
    let mut writer = FieldWriter::new(&mut buffer);
    for value in [&mixed, &of(&long), &of(&huge), &AttributeValue::from(7_u64)] {
        writer.attribute(Key::Name("list"), value);
    }
    assert_eq!(writer.truncated(), 2);

    let fields: Vec<_> = FieldReader::new(&buffer).collect();

    let [(_, FieldValue::List(first)), (_, FieldValue::List(second)), one, (_, FieldValue::List(third)), two, last] = fields[..] else {
        panic!("{fields:?}")
    };
    let expected =
        [FieldValue::Bool(true), FieldValue::I64(-7), FieldValue::F64(0.5), FieldValue::Text("käse"), FieldValue::Text(r#"["in"]"#)];
    assert!(items(first).eq(expected));
    assert!(items(second).zip(&long).all(|(item, text)| item == FieldValue::Text(text)) && (20..100).contains(&items(second).count()));
    let third: Vec<_> = items(third).collect();
    assert!(matches!(third[..], [FieldValue::Text(""), FieldValue::Text(text)] if text.len() <= FIELD_LIMIT && text.ends_with('…')));
    let mark = |count| (Key::Name(TRUNCATED), FieldValue::U64(count));
    assert_eq!((one, two, last), (mark(1), mark(2), (Key::Name("list"), FieldValue::U64(7))));
}
