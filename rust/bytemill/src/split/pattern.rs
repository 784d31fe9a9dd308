//! The syntax tree of a pattern, with only the constructs that can be matched in linear time.
//!
//! fancy-regex parses the pattern; regex-syntax provides the characters of each class. Constructs that depend on more
//! than a position in the text are refused by name: back-references, conditions, subroutine calls, control verbs.

use crate::error::{Error, Result};
use fancy_regex::{Assertion, Expr, LookAround};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class as Characters, HirKind};

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// One character of a class, by its index in [`Pattern::classes`].
    One(usize),
    Concat(Vec<Node>),
    Alt(Vec<Node>),
    Repeat {
        child: Box<Node>,
        least: usize,
        /// `None` for no maximum.
        most: Option<usize>,
        is_greedy: bool,
    },
    /// An atomic group: its first match is kept even if the rest then fails.
    Atomic(Box<Node>),
    Look {
        child: Box<Node>,
        is_behind: bool,
        is_negative: bool,
    },
    Assert(Place),
}

/// Positions between characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    TextStart,
    TextEnd,
    /// The end of the text, or before the line feeds at the end.
    TextEndOrNewlines,
    LineStart,
    LineEnd,
    /// Whether the characters before and after are word characters; `None` if it does not matter.
    Word {
        before: Option<bool>,
        after: Option<bool>,
    },
    WordBoundary,
    NotWordBoundary,
}

/// A pattern: its tree and the classes that it uses.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) root: Node,
    pub(super) classes: Vec<Class>,
}

/// A set of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// One bit for each ASCII character.
    ascii: u128,
    /// All other characters, as ascending inclusive ranges.
    beyond: Box<[(u32, u32)]>,
}

impl Class {
    /// Create the set of characters that `regex` matches; `regex` is a class that regex-syntax parses.
    pub(super) fn new(regex: &str) -> Self {
        let Ok(ranges) = ranges(regex, false) else { unreachable!("{regex} is a fixed class of regex-syntax") };
        Self::of(&ranges)
    }

    fn of(ranges: &[(u32, u32)]) -> Self {
        let ascii = (0..128_u32).filter(|code| ranges.iter().any(|&(first, last)| (first..=last).contains(code)));
        let beyond = ranges.iter().filter(|(_, last)| *last >= 128).map(|&(first, last)| (first.max(128), last));
        Self { ascii: ascii.fold(0, |bits, code| bits | 1 << code), beyond: beyond.collect() }
    }

    #[inline]
    pub(super) fn has_ascii(&self, byte: u8) -> bool {
        self.ascii >> byte & 1 != 0
    }

    pub(super) fn has(&self, character: char) -> bool {
        let code = u32::from(character);
        if code < 128 {
            return self.has_ascii(code as u8);
        }
        let place = self.beyond.partition_point(|&(_, last)| last < code);
        self.beyond.get(place).is_some_and(|&(first, _)| first <= code)
    }

    /// Mark the first byte of each character in the set.
    fn mark_first_bytes(&self, marks: &mut [bool; 256]) {
        (0..128_u8).filter(|&byte| self.has_ascii(byte)).for_each(|byte| marks[usize::from(byte)] = true);
        for &(first, last) in &self.beyond {
            marks[lead(first)..=lead(last)].fill(true);
        }
    }
}

/// Return the first byte of the UTF-8 of a character.
fn lead(code: u32) -> usize {
    let byte = match code {
        0..0x80 => code,
        0x80..0x800 => 0xC0 | code >> 6,
        0x800..0x1_0000 => 0xE0 | code >> 12,
        _ => 0xF0 | code >> 18,
    };
    byte as usize
}

/// `\R`: atomic, so that CR LF never matches as CR alone.
const NEWLINE: &str = r"(?>\r\n|[\n\x0b\x0c\r\x{85}\x{2028}\x{2029}])";

impl Pattern {
    /// Parse `text` to a tree.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let fault = |reason: String| Error::Pattern { pattern: text.to_owned(), reason };
        let tree = Expr::parse_tree(text).map_err(|error| fault(error.to_string()))?;
        let mut pattern = Self { root: Node::Concat(Vec::new()), classes: Vec::new() };
        pattern.root = pattern.node(&tree.expr).map_err(fault)?;
        Ok(pattern)
    }

    fn node(&mut self, expr: &Expr) -> Result<Node, String> {
        Ok(match expr {
            Expr::Empty => Node::Concat(Vec::new()),
            Expr::Any { newline: true, .. } => self.class(r"(?s:.)", false)?,
            Expr::Any { newline: false, crlf } => self.class(if *crlf { r"[^\r\n]" } else { r"[^\n]" }, false)?,
            Expr::Assertion(assertion) => Node::Assert(place(*assertion)?),
            Expr::GeneralNewline { .. } => {
                let tree = Expr::parse_tree(NEWLINE).map_err(|error| error.to_string())?;
                self.node(&tree.expr)?
            }
            Expr::Literal { val, casei } => {
                let one =
                    |character: char| self.class(&regex_syntax::escape(character.encode_utf8(&mut [0; 4])), *casei);
                Node::Concat(val.chars().map(one).collect::<Result<_, _>>()?)
            }
            Expr::LiteralBytes { bytes } => {
                let one = |&byte: &u8| self.class(&format!("\\x{{{byte:x}}}"), false);
                Node::Concat(bytes.iter().map(one).collect::<Result<_, _>>()?)
            }
            Expr::Concat(children) => Node::Concat(self.nodes(children)?),
            Expr::Alt(children) => Node::Alt(self.nodes(children)?),
            Expr::Group(child) => self.node(child)?,
            Expr::LookAround(child, kind) => Node::Look {
                child: Box::new(self.node(child)?),
                is_behind: matches!(kind, LookAround::LookBehind | LookAround::LookBehindNeg),
                is_negative: matches!(kind, LookAround::LookAheadNeg | LookAround::LookBehindNeg),
            },
            Expr::Repeat { child, lo, hi, greedy } => {
                let child = self.node(child)?;
                let most = (*hi != usize::MAX).then_some(*hi);
                if lo > hi {
                    return Err(format!("has the repeat {{{lo},{hi}}}, expected the smaller number first"));
                }
                if most.is_none() && child.may_be_empty() {
                    return Err(
                        "repeats a part that may be empty, expected a repeat of at least one character".to_owned()
                    );
                }
                Node::Repeat { child: Box::new(child), least: *lo, most, is_greedy: *greedy }
            }
            Expr::Delegate { inner, casei } => self.class(inner, *casei)?,
            Expr::AtomicGroup(child) => Node::Atomic(Box::new(self.node(child)?)),
            other => return Err(format!("has {}, which cannot run in linear time", refused(other))),
        })
    }

    fn nodes(&mut self, children: &[Expr]) -> Result<Vec<Node>, String> {
        children.iter().map(|child| self.node(child)).collect()
    }

    /// Create a node for one character that `regex` matches.
    fn class(&mut self, regex: &str, ignores_case: bool) -> Result<Node, String> {
        let class = Class::of(&ranges(regex, ignores_case)?);
        let known = self.classes.iter().position(|known| *known == class);
        Ok(Node::One(known.unwrap_or_else(|| {
            self.classes.push(class);
            self.classes.len() - 1
        })))
    }

    /// Return the bytes that a match can begin with, or `None` if a match may be empty.
    pub(super) fn first_bytes(&self) -> Option<[bool; 256]> {
        let mut marks = [false; 256];
        (!self.mark_first_bytes(&self.root, &mut marks)).then_some(marks)
    }

    /// Mark the bytes that a match of `node` can begin with; return whether it may be empty.
    fn mark_first_bytes(&self, node: &Node, marks: &mut [bool; 256]) -> bool {
        match node {
            Node::One(class) => self.classes[*class].mark_first_bytes(marks),
            Node::Concat(children) => return children.iter().all(|child| self.mark_first_bytes(child, marks)),
            Node::Alt(children) => {
                return children.iter().fold(false, |empty, child| self.mark_first_bytes(child, marks) | empty);
            }
            Node::Repeat { child, least, .. } => return self.mark_first_bytes(child, marks) || *least == 0,
            Node::Atomic(child) => return self.mark_first_bytes(child, marks),
            Node::Look { .. } | Node::Assert(_) => return true,
        }
        false
    }
}

impl Node {
    /// Return whether it matches without a character.
    pub(super) fn may_be_empty(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Concat(children) => children.iter().all(Self::may_be_empty),
            Self::Alt(children) => children.iter().any(Self::may_be_empty),
            Self::Repeat { child, least, .. } => *least == 0 || child.may_be_empty(),
            Self::Atomic(child) => child.may_be_empty(),
            Self::Look { .. } | Self::Assert(_) => true,
        }
    }

    /// Return the number of characters of each match, or `None` if it varies.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::One(_) => Some(1),
            Self::Concat(children) => {
                children.iter().map(Self::length).try_fold(0, |sum: usize, length| Some(sum.saturating_add(length?)))
            }
            Self::Alt(children) => {
                let mut lengths = children.iter().map(Self::length);
                let first = lengths.next().unwrap_or(Some(0))?;
                lengths.all(|length| length == Some(first)).then_some(first)
            }
            Self::Repeat { child, least, most, .. } if *most == Some(*least) => {
                Some(child.length()?.saturating_mul(*least))
            }
            Self::Repeat { .. } => None,
            Self::Atomic(child) => child.length(),
            Self::Look { .. } | Self::Assert(_) => Some(0),
        }
    }
}

fn place(assertion: Assertion) -> Result<Place, String> {
    let word = |before, after| Place::Word { before, after };
    Ok(match assertion {
        Assertion::StartText => Place::TextStart,
        Assertion::EndText => Place::TextEnd,
        Assertion::EndTextIgnoreTrailingNewlines { crlf: false } => Place::TextEndOrNewlines,
        Assertion::StartLine { crlf: false } => Place::LineStart,
        Assertion::EndLine { crlf: false } => Place::LineEnd,
        Assertion::LeftWordBoundary => word(Some(false), Some(true)),
        Assertion::LeftWordHalfBoundary => word(Some(false), None),
        Assertion::RightWordBoundary => word(Some(true), Some(false)),
        Assertion::RightWordHalfBoundary => word(None, Some(false)),
        Assertion::WordBoundary => Place::WordBoundary,
        Assertion::NotWordBoundary => Place::NotWordBoundary,
        other => return Err(format!("has the assertion {other:?}, which is not supported")),
    })
}

/// Return the characters that a one-character `regex` matches, as ascending inclusive ranges.
pub(super) fn ranges(regex: &str, ignores_case: bool) -> Result<Vec<(u32, u32)>, String> {
    let mut parser = ParserBuilder::new().case_insensitive(ignores_case).build();
    let parsed = parser.parse(regex).map_err(|error| format!("{regex}: {}", reason(error)))?;
    match parsed.kind() {
        HirKind::Class(Characters::Unicode(class)) => {
            Ok(class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect())
        }
        HirKind::Class(Characters::Bytes(class)) => {
            Ok(class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect())
        }
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0).map(|text| text.chars().collect::<Vec<_>>())
        {
            Ok(characters) if characters.len() == 1 => Ok(vec![(characters[0].into(), characters[0].into())]),
            _ => Err(format!("{regex} is not one character")),
        },
        _ => Err(format!("{regex} is not one character")),
    }
}

/// Return what is wrong with a class, without the lines that show the position.
fn reason(error: regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string(),
    }
}

/// Return the name of a construct for messages.
fn refused(expr: &Expr) -> &'static str {
    match expr {
        Expr::Backref { .. } | Expr::BackrefWithRelativeRecursionLevel { .. } | Expr::AstNode(..) => {
            "a backreference or a call of a group"
        }
        Expr::KeepOut => r"\K",
        Expr::ContinueFromPreviousMatchEnd => r"\G",
        Expr::BackrefExistsCondition { .. } | Expr::Conditional { .. } | Expr::DefineGroup { .. } => {
            "a conditional group"
        }
        Expr::SubroutineCall(_) => "a call of a group",
        Expr::BacktrackingControlVerb(_) => "a backtracking control verb",
        Expr::Absent(_) => "an absent operator",
        _ => "an unknown construct",
    }
}
