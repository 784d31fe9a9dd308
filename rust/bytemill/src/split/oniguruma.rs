//! Translates patterns between our syntax, which is fancy-regex's, and Oniguruma's, which `tokenizers` reads.
//!
//! Both support nearly the same constructs, but some of these have different meanings. Constructs with the same
//! meaning are kept, those with an equivalent are rewritten, and all others are refused by name. Classes were compared
//! over all code points: both engines have Unicode 16 (regex-syntax 0.8, Oniguruma in tokenizers 0.23).

use std::fmt::Write as _;

/// The direction of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Our word characters, in both syntaxes.
const OUR_WORD: &str = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}]";
/// Oniguruma's word characters, in both syntaxes: without joiners, with the numbers of Latin-1.
const THEIR_WORD: &str = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}]";

/// Properties with the same characters in both, in lower case.
const PROPERTIES: &[&str] = &[
    "l",
    "lu",
    "ll",
    "lt",
    "lm",
    "lo",
    "m",
    "mn",
    "mc",
    "me",
    "n",
    "nd",
    "nl",
    "no",
    "p",
    "pc",
    "pd",
    "ps",
    "pe",
    "pi",
    "pf",
    "po",
    "s",
    "sm",
    "sc",
    "sk",
    "so",
    "z",
    "zs",
    "zl",
    "zp",
    "cc",
    "cf",
    "co",
    "letter",
    "uppercase_letter",
    "lowercase_letter",
    "mark",
    "number",
    "punctuation",
    "symbol",
    "separator",
    "alphabetic",
    "white_space",
    "uppercase",
    "lowercase",
    "han",
    "latin",
    "greek",
    "cyrillic",
    "armenian",
    "hebrew",
    "arabic",
    "devanagari",
    "bengali",
    "gurmukhi",
    "gujarati",
    "tamil",
    "telugu",
    "kannada",
    "malayalam",
    "sinhala",
    "thai",
    "lao",
    "tibetan",
    "myanmar",
    "georgian",
    "hangul",
    "ethiopic",
    "khmer",
    "mongolian",
    "hiragana",
    "katakana",
    "bopomofo",
    "common",
    "inherited",
    "c",
    "cn",
    "lc",
    "any",
    "assigned",
    "emoji",
    "extended_pictographic",
    "join_control",
];

/// Strings for which `(?i:…)` folds to several characters in Oniguruma, in lower-case ASCII letters.
const FOLDED_TOGETHER: [&str; 5] = ["ss", "st", "ff", "fi", "fl"];

/// Return `pattern` in the other syntax, or the reason why it has no equivalent.
pub(crate) fn translate(pattern: &str, direction: Direction) -> Result<String, String> {
    let mut translation =
        Translation { rest: pattern, direction, done: String::with_capacity(pattern.len()), ignores_case: vec![false] };
    while !translation.rest.is_empty() {
        translation.next()?;
    }
    Ok(translation.done)
}

struct Translation<'p> {
    rest: &'p str,
    direction: Direction,
    done: String,
    /// Whether each open group ignores case, the outermost first.
    ignores_case: Vec<bool>,
}

impl<'p> Translation<'p> {
    /// Return the word characters of the source syntax and of the target syntax.
    fn words(&self) -> (&'static str, &'static str) {
        match self.direction {
            Direction::Write => (OUR_WORD, THEIR_WORD),
            Direction::Read => (THEIR_WORD, OUR_WORD),
        }
    }

    fn is_written(&self) -> bool {
        self.direction == Direction::Write
    }

    /// Consume `text` if the rest starts with it.
    fn takes(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Copy the next `n` bytes unchanged.
    fn keep(&mut self, n: usize) {
        let (kept, rest) = self.rest.split_at(n);
        self.done.push_str(kept);
        self.rest = rest;
    }

    fn ignores_case(&self) -> bool {
        self.ignores_case.last().is_some_and(|&ignores| ignores)
    }

    fn next(&mut self) -> Result<(), String> {
        if self.takes_written_class() {
            return Ok(());
        }
        let Some(character) = self.rest.chars().next() else { return Ok(()) };
        match character {
            '\\' => self.escape(false),
            '[' => self.class(),
            '(' => self.group(),
            ')' => {
                if self.ignores_case.len() > 1 {
                    self.ignores_case.pop();
                }
                self.keep(1);
                Ok(())
            }
            '^' | '$' if self.is_written() => {
                self.done.push_str(if character == '^' { r"\A" } else { r"\z" });
                self.rest = &self.rest[1..];
                self.refuse_repeat()
            }
            '^' | '$' => Err("`^` and `$` match at the ends of any line in Oniguruma, expected \\A or \\z".to_owned()),
            '{' => self.count(),
            '*' | '+' | '?' => {
                self.keep(1);
                if self.rest.starts_with(['?', '+']) {
                    self.keep(1);
                }
                self.refuse_repeat()
            }
            _ => self.literal(character),
        }
    }

    fn literal(&mut self, character: char) -> Result<(), String> {
        if self.ignores_case() {
            let next: String = self.rest.chars().take(2).flat_map(char::to_lowercase).collect();
            if !character.is_ascii() || FOLDED_TOGETHER.contains(&&*next) {
                return Err(format!("{next:?} with the flag i also matches strings of other lengths in Oniguruma"));
            }
        }
        self.keep(character.len_utf8());
        Ok(())
    }

    /// Consume what [`translate`] writes for a word character or boundary in the other direction, and write `\w` again.
    fn takes_written_class(&mut self) -> bool {
        let (_, written) = self.words();
        let negated = format!("[^{}", &written[1..]);
        let forms =
            [(written.to_owned(), r"\w"), (negated, r"\W"), (boundary(written), r"\b"), (inside(written), r"\B")];
        for (form, escape) in forms {
            if self.takes(&form) {
                self.done.push_str(escape);
                return true;
            }
        }
        false
    }

    fn escape(&mut self, is_in_class: bool) -> Result<(), String> {
        let mut characters = self.rest[1..].chars();
        let Some(character) = characters.next() else { return Err("ends with a `\\`".to_owned()) };
        let (word, _) = self.words();
        let replacement = match character {
            'w' | 'W' | 'b' | 'B' | 'p' | 'P' | 'D' | 'S' | 'H' if self.ignores_case() => {
                return Err(format!("`\\{character}` with the flag i matches other characters in Oniguruma"));
            }
            'w' => word.to_owned(),
            'W' => format!("[^{}", &word[1..]),
            'b' if !is_in_class => boundary(word),
            'B' if !is_in_class => inside(word),
            '<' if self.is_written() && !is_in_class => format!("(?:(?<!{word})(?={word}))"),
            '>' if self.is_written() && !is_in_class => format!("(?:(?<={word})(?!{word}))"),
            'p' | 'P' => return self.property(),
            '1'..='9' | 'k' | 'g' if !is_in_class => {
                return Err("a backreference or a call of a group cannot run in linear time".to_owned());
            }
            'x' | 'u' | 'U' => return self.code_point(character),
            'd' | 'D' | 's' | 'S' | 'h' | 'H' | 'n' | 'r' | 't' | 'f' | 'v' | 'a' | 'e' => {
                self.keep(2);
                return Ok(());
            }
            'A' | 'z' | 'R' if !is_in_class => {
                self.keep(2);
                return Ok(());
            }
            _ if character.is_ascii_punctuation() || character == ' ' => {
                // An escaped `<` is a position between characters here.
                let is_bare = !self.is_written() && matches!(character, '<' | '>');
                if is_bare { character.to_string() } else { format!("\\{character}") }
            }
            _ => return Err(format!("`\\{character}` has a different meaning or no meaning in Oniguruma")),
        };
        self.done.push_str(&replacement);
        self.rest = characters.as_str();
        Ok(())
    }

    /// Translate `\p{L}`, `\pL`, `\P{L}`, `\p{^L}`.
    fn property(&mut self) -> Result<(), String> {
        let (start, after) = self.rest.split_at(2);
        let (name, rest) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or("`\\p{` has no `}`")?,
            None if self.is_written() => after.split_at(after.chars().next().map_or(0, char::len_utf8)),
            None => return Err("`\\p` without braces is the letter p in Oniguruma, expected \\p{…}".to_owned()),
        };
        self.rest = rest;
        let (is_negated, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
        let is_negated = is_negated != start.ends_with('P');
        let letter = if is_negated { 'P' } else { 'p' };
        let normal = if self.is_written() { our_property(name) } else { name.to_owned() };
        if PROPERTIES.contains(&&*normal.to_ascii_lowercase()) {
            let _ = write!(self.done, "\\{letter}{{{normal}}}");
            return Ok(());
        }
        if !self.is_written() {
            return Err(format!("`\\p{{{name}}}` may not match the same characters in Oniguruma"));
        }
        let ranges = super::pattern::ranges(&format!("\\p{{{name}}}"), false)?;
        let ranges = ranges.into_iter().map(|(first, last)| format!("\\x{{{first:x}}}-\\x{{{last:x}}}"));
        let _ = write!(self.done, "[{}{}]", if is_negated { "^" } else { "" }, ranges.collect::<String>());
        Ok(())
    }

    /// Translate `\x41`, `\x{41}`, `\u0041`, `\u{41}`.
    fn code_point(&mut self, letter: char) -> Result<(), String> {
        let after = &self.rest[2..];
        let most = match letter {
            'x' => 2,
            'u' => 4,
            _ => 8,
        };
        let n = after.bytes().take(most).take_while(u8::is_ascii_hexdigit).count();
        let (digits, rest) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or("`\\x{` has no `}`")?,
            None => after.split_at(n),
        };
        let code = u32::from_str_radix(digits, 16).ok().filter(|code| char::from_u32(*code).is_some());
        let code = code.ok_or_else(|| format!("`\\{letter}` has no code point after it"))?;
        let is_byte = letter == 'x' && !after.starts_with('{') && code > 0x7F;
        let is_unknown = letter == 'U' || (letter == 'u' && after.starts_with('{'));
        if !self.is_written() && (is_byte || is_unknown) {
            return Err(format!("`\\{letter}{digits}` is not a character in Oniguruma, expected \\x{{{code:x}}}"));
        }
        if self.ignores_case() && code > 0x7F {
            return Err("a character beyond ASCII with the flag i may match others in Oniguruma".to_owned());
        }
        if is_byte || is_unknown {
            let _ = write!(self.done, "\\x{{{code:x}}}");
            self.rest = rest;
        } else {
            self.keep(self.rest.len() - rest.len());
        }
        Ok(())
    }

    /// Translate a class in brackets, to its end.
    fn class(&mut self) -> Result<(), String> {
        let mut depth = 0_usize;
        let mut has_letters = false;
        let mut is_negated = false;
        loop {
            if depth > 0 && self.takes_written_class() {
                continue;
            }
            let Some(character) = self.rest.chars().next() else { return Err("a class has no `]`".to_owned()) };
            match character {
                '[' if names_class(self.rest) => {
                    return Err(
                        "`[:alpha:]` and its like hold ASCII characters alone here, but those of all of Unicode \
                                in Oniguruma"
                            .to_owned(),
                    );
                }
                '[' => {
                    depth += 1;
                    self.keep(1);
                    if self.rest.starts_with('^') {
                        is_negated = true;
                        self.keep(1);
                    }
                    if self.rest.starts_with(']') {
                        self.keep(1); // a `]` in the first position is a character
                    }
                }
                ']' => {
                    depth -= 1;
                    self.keep(1);
                    if depth == 0 {
                        break;
                    }
                }
                '\\' => self.escape(true)?,
                '-' | '~' if self.rest[1..].starts_with(character) => {
                    return Err("`--` and `~~` take characters out of a class here, but are characters of it in \
                                Oniguruma"
                        .to_owned());
                }
                _ => {
                    has_letters |= character.is_alphabetic();
                    if self.ignores_case() && !character.is_ascii() {
                        return Err(format!("{character:?} with the flag i may match others in Oniguruma"));
                    }
                    self.keep(character.len_utf8());
                }
            }
        }
        if self.ignores_case() && is_negated && has_letters {
            return Err("a negated class of letters with the flag i matches other characters in Oniguruma".to_owned());
        }
        Ok(())
    }

    /// Translate the beginning of a group.
    fn group(&mut self) -> Result<(), String> {
        let ignores_case = self.ignores_case();
        if let Some(inside) = self.rest.strip_prefix("(?") {
            let is_look = ["=", "!", "<=", "<!", ">", ":"].iter().any(|kind| inside.starts_with(kind));
            let is_named = inside.starts_with("P<") || inside.starts_with('<');
            if is_look {
                // Copied unchanged.
            } else if is_named {
                if !self.is_written() && inside.starts_with('P') {
                    return Err("`(?P<` is unknown in Oniguruma, expected `(?<`".to_owned());
                }
                let (name, rest) = inside.trim_start_matches('P').split_once('>').ok_or("a name has no `>`")?;
                let _ = write!(self.done, "(?{name}>");
                self.rest = rest;
                self.ignores_case.push(ignores_case);
                return Ok(());
            } else {
                return self.flags(inside);
            }
        }
        self.ignores_case.push(ignores_case);
        self.keep(match self.rest.as_bytes() {
            [b'(', b'?', b'<', ..] => 4,
            [b'(', b'?', ..] => 3,
            _ => 1,
        });
        Ok(())
    }

    /// Translate `(?i)`, `(?i:`, `(?u:`.
    fn flags(&mut self, inside: &'p str) -> Result<(), String> {
        let end = inside.find([')', ':']).ok_or("a group has no end")?;
        let (flags, rest) = inside.split_at(end);
        let is_known = |flag: char| flag == 'i' || (flag == 'u' && self.is_written());
        let (set, cleared) = flags.split_once('-').unwrap_or((flags, ""));
        if !set.chars().all(is_known) || !cleared.chars().all(|flag| flag == 'i') {
            return Err(format!("the flags {flags} have a different meaning or no meaning in Oniguruma"));
        }
        let ignores_case = (self.ignores_case() || set.contains('i')) && !cleared.contains('i');
        let written = if ignores_case { "(?i" } else { "(?-i" };
        let written = if ignores_case == self.ignores_case() { "(?" } else { written };
        if rest.starts_with(':') {
            self.done.push_str(written);
            self.ignores_case.push(ignores_case);
            self.done.push(':');
        } else {
            if let Some(last) = self.ignores_case.last_mut() {
                *last = ignores_case;
            }
            if written == "(?i" && self.done.is_empty() {
                self.done.push_str("(?i)");
            } else if written != "(?" {
                return Err(
                    "a flag for the rest of a group applies across `|` differently in Oniguruma, expected (?i:…)"
                        .to_owned(),
                );
            }
        }
        self.rest = &rest[1..];
        Ok(())
    }

    /// Translate `{1,3}` after the part that it repeats.
    fn count(&mut self) -> Result<(), String> {
        let inside = self.rest[1..].split_once('}').map(|(inside, _)| inside);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_count = |inside: &str| match inside.split_once(',') {
            Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
            None => is_number(inside),
        };
        let inside = inside.filter(|inside| is_count(inside)).ok_or("`{` is not a count, expected `\\{` or `{1,3}`")?;
        self.keep(inside.len() + 2);
        if self.rest.starts_with('+') {
            return Err("`{…}+` is possessive here, but repeats the repeat in Oniguruma".to_owned());
        }
        if self.rest.starts_with('?') {
            if !inside.contains(',') {
                return Err("`{…}?` after one number is lazy here, but optional in Oniguruma".to_owned());
            }
            self.keep(1);
        }
        self.refuse_repeat()
    }

    /// Refuse a repeat of a repeat, which has several readings.
    fn refuse_repeat(&self) -> Result<(), String> {
        if self.rest.starts_with(['*', '+', '?']) {
            return Err("a repeat of a repeat is ambiguous, expected a group around the inner one".to_owned());
        }
        Ok(())
    }
}

/// Return the name of one of our properties as Oniguruma may know it: without `Script=` and `Is`.
fn our_property(name: &str) -> String {
    let bare = name
        .split_once(['=', ':'])
        .filter(|(kind, _)| ["script", "sc", "gc", "general_category"].contains(&&*kind.to_ascii_lowercase()));
    let name = bare.map_or(name, |(_, name)| name);
    let lower = name.to_ascii_lowercase();
    match lower.strip_prefix("is") {
        Some(short) if PROPERTIES.contains(&short) => name[2..].to_owned(),
        _ => name.to_owned(),
    }
}

/// Return whether `text` begins with a named class, such as `[:alpha:]` or `[:^digit:]`.
fn names_class(text: &str) -> bool {
    let name = text.strip_prefix("[:").and_then(|name| name.split_once(":]"));
    name.map(|(name, _)| name.trim_start_matches('^'))
        .is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// Return a boundary: a position between a character of `word` and one outside it.
fn boundary(word: &str) -> String {
    format!("(?:(?<={word})(?!{word})|(?<!{word})(?={word}))")
}

/// Return a position that is not a boundary.
fn inside(word: &str) -> String {
    format!("(?:(?<={word})(?={word})|(?<!{word})(?!{word}))")
}
