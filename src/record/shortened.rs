//! Fields that are too long together.

use super::cut::CUT_MARK;
use super::fields::items;
use super::{FieldReader, FieldValue, FieldWriter, Key};

/// Returns `fields` in at most `limit` bytes: the longest texts are cut, and no field is lost unless
/// there are hundreds.
pub(super) fn shortened(fields: &[u8], limit: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for text_limit in [limit / 2, limit / 4, limit / 8, limit / 16, limit / 32, limit / 64, limit / 128] {
        out.clear();
        let mut writer = FieldWriter::limited(&mut out, text_limit.max(CUT_MARK.len()));
        for (key, value) in FieldReader::new(fields) {
            write(&mut writer, key, value);
        }
        if out.len() <= limit {
            break;
        }
    }
    out.truncate(limit);
    out
}

fn write(writer: &mut FieldWriter<'_>, key: Key<'_>, value: FieldValue<'_>) {
    match value {
        FieldValue::Bool(value) => writer.bool(key, value),
        FieldValue::I64(value) => writer.i64(key, value),
        FieldValue::U64(value) => writer.u64(key, value),
        FieldValue::F64(value) => writer.f64(key, value),
        FieldValue::Text(text) => writer.text(key, text),
        FieldValue::List(list) => writer.list(key, items(list), |writer, item| write(writer, Key::Index(0), item)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TRUNCATED;
    use super::*;

    #[test]
    fn shortened_fields_are_all_there() {
        let mut buffer = Vec::new();
        let mut writer = FieldWriter::new(&mut buffer);
        for index in 0..32 {
            writer.text(Key::Index(index), &"x".repeat(if index % 2 == 0 { 3000 } else { 5 }));
        }

        let short = shortened(&buffer, 4096);

        let fields: Vec<_> = FieldReader::new(&short).filter(|(key, _)| *key != Key::Name(TRUNCATED)).collect();
        assert!(short.len() <= 4096 && fields.len() == 32, "{} fields in {} bytes", fields.len(), short.len());
        assert!(fields.iter().all(|(key, value)| matches!((key, value), (Key::Index(index), FieldValue::Text(text))
            if if index % 2 == 0 { text.ends_with("x…") } else { *text == "xxxxx" })));
    }
}
