//! Card numbers.

use std::ops::Range;

/// Finds a card number at `start`.
///
/// It has 13 to 19 digits, with single spaces or dashes between them. It begins with an issuer's
/// digits and passes the Luhn check.
pub(super) fn card(text: &str, start: usize) -> Option<Range<usize>> {
    let mut digits = [0_u8; 19];
    let mut count = 0;
    let mut end = start;
    let mut separated = false;
    for (offset, byte) in text.as_bytes().get(start..)?.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                *digits.get_mut(count)? = byte - b'0';
                count += 1;
                end = start + offset + 1;
                separated = false;
            }
            b' ' | b'-' if !separated && count > 0 => separated = true,
            _ if byte.is_ascii_alphabetic() && !separated => return None,
            _ => break,
        }
    }
    let digits = digits.get(..count).filter(|digits| digits.len() >= 13)?;
    let issuer = matches!(digits, [4, ..] | [5, 1..=5, ..] | [2, 2..=7, ..] | [3, 0 | 4..=8, ..] | [6, 0 | 2 | 4 | 5, ..]);
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            match (place % 2, digit * 2) {
                (0, _) => digit,
                (_, double) if double > 9 => double - 9,
                (_, double) => double,
            }
        })
        .sum();
    (issuer && sum.is_multiple_of(10)).then_some(start..end)
}
