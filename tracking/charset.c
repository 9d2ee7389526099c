/* SPDX-License-Identifier: MIT */
/*
 * What counts as a superset of ASCII: in all single-byte sets, in UTF-8, in
 * EUC-* and UHC the bytes of markup are nothing else. The second byte of a
 * character may look like ASCII in Shift_JIS, Big5 and GBK (0x40 to 0x7E), and
 * GB18030 has digits as well (0x30 to 0x39): never one of < > " ' & ! - / = ; #
 * or white space. So none of them starts or ends a tag, a value, a reference or
 * a comment, and a letter means something only next to one of those. (The one
 * exception, "]]>" of a CDATA section within SVG, holds no links.) Johab, where
 * such bytes begin at 0x31, and EBCDIC are left alone.
 */
#include "tracking/charset.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "core/memory.h"

#define MASKED '\x80'
#define ESCAPE '\x1B'
#define SHIFT_OUT '\x0E'
#define SHIFT_IN '\x0F'

/* How far in front of a span we look for what it was shifted by. */
#define LOOK_BACK_BYTES 4096

/* --- labels --- */

#define SUPERSET(name)                                  \
    {                                                   \
        CHARSET_ASCII_SUPERSET, SHIFT_NONE, false, name \
    }
#define SHIFTED(shift, name)                \
    {                                       \
        CHARSET_SHIFTED, shift, false, name \
    }
#define WIDE(form, is_big_endian, name)       \
    {                                         \
        form, SHIFT_NONE, is_big_endian, name \
    }

/*
 * Labels of the WHATWG Encoding standard (4.2), whose choice of superset is
 * followed (iso-8859-1 is windows-1252), and those seen in mail. US-ASCII is
 * read as UTF-8: valid or not, its bytes stay.
 */
static const struct charset_row {
    struct charset charset;
    bool has_mark; /* a byte order mark decides */
    const char *labels; /* each between spaces */
} charset_rows[] = {
    { SUPERSET("UTF-8"), false,
      " utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 "
      "x-unicode20utf8 utf8mb4 us-ascii ascii ansi_x3.4-1968 "
      "ansi_x3.4-1986 iso-ir-6 iso646-us iso_646.irv:1991 us cp367 ibm367 "
      "csascii 8bit unknown-8bit x-unknown unknown default binary none " },
    { SUPERSET("CP1252"), false,
      " windows-1252 cp1252 x-cp1252 iso-8859-1 iso8859-1 iso88591 "
      "iso_8859-1 iso_8859-1:1987 iso-ir-100 latin1 latin-1 l1 ibm819 "
      "cp819 csisolatin1 x-ansi ansi " },
    { SUPERSET("ISO-8859-2"), false,
      " iso-8859-2 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 "
      "iso-ir-101 latin2 l2 csisolatin2 " },
    { SUPERSET("ISO-8859-3"), false,
      " iso-8859-3 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 "
      "iso-ir-109 latin3 l3 csisolatin3 " },
    { SUPERSET("ISO-8859-4"), false,
      " iso-8859-4 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 "
      "iso-ir-110 latin4 l4 csisolatin4 " },
    { SUPERSET("ISO-8859-5"), false,
      " iso-8859-5 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988 "
      "iso-ir-144 cyrillic csisolatincyrillic " },
    { SUPERSET("ISO-8859-6"), false,
      " iso-8859-6 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987 "
      "iso-8859-6-e iso-8859-6-i iso-ir-127 arabic asmo-708 ecma-114 "
      "csisolatinarabic csiso88596e csiso88596i " },
    { SUPERSET("ISO-8859-7"), false,
      " iso-8859-7 iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987 "
      "iso-ir-126 greek greek8 ecma-118 elot_928 sun_eu_greek "
      "csisolatingreek " },
    { SUPERSET("ISO-8859-8"), false,
      " iso-8859-8 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 "
      "iso-8859-8-e iso-8859-8-i iso-ir-138 hebrew visual logical "
      "csisolatinhebrew csiso88598e csiso88598i " },
    { SUPERSET("CP1254"), false,
      " windows-1254 cp1254 x-cp1254 iso-8859-9 iso8859-9 iso88599 "
      "iso_8859-9 iso_8859-9:1989 iso-ir-148 latin5 l5 csisolatin5 " },
    { SUPERSET("ISO-8859-10"), false,
      " iso-8859-10 iso8859-10 iso885910 iso-ir-157 latin6 l6 csisolatin6 " },
    { SUPERSET("CP874"), false,
      " windows-874 cp874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 "
      "tis620 " },
    { SUPERSET("ISO-8859-13"), false,
      " iso-8859-13 iso8859-13 iso885913 latin7 " },
    { SUPERSET("ISO-8859-14"), false,
      " iso-8859-14 iso8859-14 iso885914 latin8 " },
    { SUPERSET("ISO-8859-15"), false,
      " iso-8859-15 iso8859-15 iso885915 iso_8859-15 latin9 latin-9 l9 "
      "csisolatin9 " },
    { SUPERSET("ISO-8859-16"), false, " iso-8859-16 iso8859-16 latin10 " },
    { SUPERSET("CP1250"), false, " windows-1250 cp1250 x-cp1250 " },
    { SUPERSET("CP1251"), false, " windows-1251 cp1251 x-cp1251 win-1251 " },
    { SUPERSET("CP1253"), false, " windows-1253 cp1253 x-cp1253 " },
    { SUPERSET("CP1255"), false, " windows-1255 cp1255 x-cp1255 " },
    { SUPERSET("CP1256"), false, " windows-1256 cp1256 x-cp1256 " },
    { SUPERSET("CP1257"), false, " windows-1257 cp1257 x-cp1257 " },
    { SUPERSET("CP1258"), false, " windows-1258 cp1258 x-cp1258 " },
    { SUPERSET("KOI8-R"), false, " koi8-r koi8 koi koi8_r cskoi8r " },
    { SUPERSET("KOI8-U"), false, " koi8-u koi8-ru " },
    { SUPERSET("KOI8-T"), false, " koi8-t " },
    { SUPERSET("MACINTOSH"), false, " macintosh mac x-mac-roman csmacintosh " },
    { SUPERSET("MAC-CYRILLIC"), false, " x-mac-cyrillic x-mac-ukrainian " },
    { SUPERSET("MAC-CENTRALEUROPE"), false,
      " x-mac-ce x-mac-centraleurroman " },
    { SUPERSET("IBM437"), false, " ibm437 cp437 437 " },
    { SUPERSET("CP850"), false, " ibm850 cp850 850 " },
    { SUPERSET("CP852"), false, " ibm852 cp852 852 " },
    { SUPERSET("CP855"), false, " ibm855 cp855 855 " },
    { SUPERSET("CP857"), false, " ibm857 cp857 857 " },
    { SUPERSET("CP858"), false, " ibm00858 ibm858 cp858 " },
    { SUPERSET("CP862"), false, " ibm862 cp862 862 dos-862 " },
    { SUPERSET("CP866"), false, " ibm866 cp866 866 csibm866 " },
    { SUPERSET("TCVN"), false, " tcvn tcvn5712-1 x-viet-tcvn5712 " },
    { SUPERSET("VISCII"), false, " viscii csviscii " },
    { SUPERSET("CP932"), false,
      " shift_jis shift-jis sjis x-sjis ms_kanji ms932 windows-31j cp932 "
      "csshiftjis cswindows31j " },
    { SUPERSET("EUC-JP-MS"), false,
      " euc-jp eucjp x-euc-jp x-euc cseucpkdfmtjapanese eucjp-ms cp51932 " },
    { SUPERSET("UHC"), false,
      " euc-kr euckr cseuckr ks_c_5601-1987 ks_c_5601-1989 ksc5601 "
      "ksc_5601 csksc56011987 iso-ir-149 korean windows-949 cp949 uhc "
      "ks_c_5601 " },
    { SUPERSET("GB18030"), false,
      " gb18030 gbk x-gbk gb2312 gb_2312 gb_2312-80 chinese csgb2312 "
      "csiso58gb231280 iso-ir-58 euc-cn euccn cp936 ms936 windows-936 "
      "csgbk csgb18030 " },
    { SUPERSET("BIG5-HKSCS"), false,
      " big5 big5-hkscs cn-big5 csbig5 x-x-big5 cp950 windows-950 " },
    { SUPERSET("EUC-TW"), false, " euc-tw euctw x-euc-tw cseuctw " },
    { SHIFTED(SHIFT_ISO_2022_JP, "ISO-2022-JP-2"), false,
      " iso-2022-jp iso-2022-jp-1 iso-2022-jp-2 csiso2022jp csiso2022jp2 " },
    { SHIFTED(SHIFT_ISO_2022_JP, "ISO-2022-JP-3"), false,
      " iso-2022-jp-3 iso-2022-jp-ms cp50220 cp50221 cp50222 " },
    { SHIFTED(SHIFT_ISO_2022_KR, "ISO-2022-KR"), false,
      " iso-2022-kr csiso2022kr " },
    { SHIFTED(SHIFT_ISO_2022_CN, "ISO-2022-CN-EXT"), false,
      " iso-2022-cn iso-2022-cn-ext csiso2022cn csiso2022cnext " },
    { SHIFTED(SHIFT_HZ, "GB18030"), false, " hz-gb-2312 hz hzgb2312 " },
    { SHIFTED(SHIFT_UTF_7, "UTF-7"), false,
      " utf-7 utf7 unicode-1-1-utf-7 csunicode11utf7 csutf7 "
      "x-unicode-2-0-utf-7 " },
    { WIDE(CHARSET_WIDE_2, true, "UTF-16BE"), false,
      " utf-16be utf16be unicodefffe csutf16be " },
    { WIDE(CHARSET_WIDE_2, false, "UTF-16LE"), false,
      " utf-16le utf16le unicodefeff csutf16le " },
    { WIDE(CHARSET_WIDE_2, true, "UTF-16BE"), true,
      " utf-16 utf16 unicode ucs-2 iso-10646-ucs-2 csunicode csutf16 " },
    { WIDE(CHARSET_WIDE_4, true, "UTF-32BE"), false,
      " utf-32be utf32be csutf32be " },
    { WIDE(CHARSET_WIDE_4, false, "UTF-32LE"), false,
      " utf-32le utf32le csutf32le " },
    { WIDE(CHARSET_WIDE_4, true, "UTF-32BE"), true,
      " utf-32 utf32 ucs-4 iso-10646-ucs-4 csucs4 csutf32 " },
};

#define LABEL_LENGTH_MAX 40

static const struct charset_row *find_row(struct text label)
{
    char wanted[LABEL_LENGTH_MAX + 3] = " ";
    if (label.length == 0 || label.length > LABEL_LENGTH_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < label.length; i++) {
        wanted[i + 1] = ascii_lower(label.data[i]);
        if (label.data[i] == ' ') {
            return NULL;
        }
    }
    wanted[label.length + 1] = ' ';
    for (size_t i = 0; i < ARRAY_LENGTH(charset_rows); i++) {
        if (strstr(charset_rows[i].labels, wanted)) {
            return &charset_rows[i];
        }
    }
    return NULL;
}

static bool begins_with(struct text bytes, const char *prefix, size_t length)
{
    return bytes.length >= length && memcmp(bytes.data, prefix, length) == 0;
}

/* Little endian, where big endian is what stands without a mark. */
static struct charset follow_mark(struct charset charset, struct text bytes)
{
    bool is_wide_4 = charset.form == CHARSET_WIDE_4;
    if (is_wide_4 ? begins_with(bytes, "\xFF\xFE\0\0", 4)
                  : begins_with(bytes, "\xFF\xFE", 2)) {
        charset.is_big_endian = false;
        charset.iconv_name = is_wide_4 ? "UTF-32LE" : "UTF-16LE";
    }
    return charset;
}

struct charset charset_find(const char *label, struct text bytes)
{
    struct text trimmed = text_trim(text_of(label));
    const char *name = "utf-8";
    if (trimmed.length == 0) {
        bool has_mark = begins_with(bytes, "\xFF\xFE", 2) ||
                        begins_with(bytes, "\xFE\xFF", 2);
        trimmed = text_of(has_mark ? "utf-16" : name);
    }
    const struct charset_row *row = find_row(trimmed);
    if (!row) {
        return (struct charset){ .form = CHARSET_UNKNOWN };
    }
    return row->has_mark ? follow_mark(row->charset, bytes) : row->charset;
}

size_t charset_unit_bytes(const struct charset *charset)
{
    return charset->form == CHARSET_WIDE_2   ? 2
           : charset->form == CHARSET_WIDE_4 ? 4
                                             : 1;
}

/* --- masks of wide sets --- */

static uint32_t read_unit(const struct charset *charset, const char *bytes,
                          size_t size)
{
    uint32_t unit = 0;
    for (size_t i = 0; i < size; i++) {
        size_t at = charset->is_big_endian ? i : size - 1 - i;
        unit = unit << 8 | (unsigned char)bytes[at];
    }
    return unit;
}

static bool mask_wide(const struct charset *charset, struct text bytes,
                      char *out)
{
    size_t size = charset_unit_bytes(charset);
    if (bytes.length % size != 0) {
        return false;
    }
    for (size_t at = 0; at < bytes.length; at += size) {
        uint32_t unit = read_unit(charset, bytes.data + at, size);
        if (unit > 0x10FFFF) {
            return false;
        }
        *out++ = unit < 0x80 ? (char)unit : MASKED;
    }
    return true;
}

/* --- masks of ISO 2022 --- */

enum shift_state { STATE_ASCII, STATE_ROMAN, STATE_OTHER, STATE_SAME };

/* RFC 1468, 1554, 2237 and JIS X 0213 (JP); 1557 (KR); 1922 (CN). */
static const struct escape_row {
    enum charset_shift shift;
    const char *sequence;
    enum shift_state state;
    size_t shifted_bytes; /* single shifts: so many bytes behind it */
} escape_rows[] = {
    { SHIFT_ISO_2022_JP, "\x1B(B", STATE_ASCII, 0 },
    { SHIFT_ISO_2022_JP, "\x1B(J", STATE_ROMAN, 0 },
    { SHIFT_ISO_2022_JP, "\x1B(I", STATE_OTHER, 0 },
    { SHIFT_ISO_2022_JP, "\x1B$@", STATE_OTHER, 0 },
    { SHIFT_ISO_2022_JP, "\x1B$B", STATE_OTHER, 0 },
    { SHIFT_ISO_2022_JP, "\x1B$A", STATE_OTHER, 0 },
    { SHIFT_ISO_2022_JP, "\x1B$(C", STATE_OTHER, 0 },
    { SHIFT_ISO_2022_JP, "\x1B$(D", STATE_OTHER, 0 },
    { SHIFT_ISO_2022_JP, "\x1B$(O", STATE_OTHER, 0 },
    { SHIFT_ISO_2022_JP, "\x1B$(P", STATE_OTHER, 0 },
    { SHIFT_ISO_2022_JP, "\x1B$(Q", STATE_OTHER, 0 },
    { SHIFT_ISO_2022_JP, "\x1B.A", STATE_SAME, 0 },
    { SHIFT_ISO_2022_JP, "\x1B.F", STATE_SAME, 0 },
    { SHIFT_ISO_2022_JP, "\x1BN", STATE_SAME, 1 },
    { SHIFT_ISO_2022_KR, "\x1B$)C", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1B$)A", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1B$)G", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1B$)E", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1B$*H", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1B$+I", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1B$+J", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1B$+K", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1B$+L", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1B$+M", STATE_SAME, 0 },
    { SHIFT_ISO_2022_CN, "\x1BN", STATE_SAME, 2 },
    { SHIFT_ISO_2022_CN, "\x1BO", STATE_SAME, 2 },
};

static const struct escape_row *find_escape(enum charset_shift shift,
                                            struct text bytes)
{
    for (size_t i = 0; i < ARRAY_LENGTH(escape_rows); i++) {
        const struct escape_row *row = &escape_rows[i];
        if (row->shift == shift &&
            begins_with(bytes, row->sequence, strlen(row->sequence))) {
            return row;
        }
    }
    return NULL;
}

static char mask_byte(enum shift_state state, char byte)
{
    bool is_other_in_roman = byte == '\\' || byte == '~';
    if (state == STATE_OTHER || (byte & 0x80) ||
        (state == STATE_ROMAN && is_other_in_roman)) {
        return MASKED;
    }
    return byte;
}

/* Returns how many bytes the escape sequence has, 0: it is not known, or no
 * character follows a single shift. */
static size_t take_escape(enum charset_shift shift, struct text rest,
                          enum shift_state *state)
{
    const struct escape_row *row = find_escape(shift, rest);
    if (!row) {
        return 0;
    }
    if (row->state != STATE_SAME) {
        *state = row->state;
    }
    size_t length = strlen(row->sequence);
    for (size_t i = 0; i < row->shifted_bytes; i++) {
        if (length == rest.length || (unsigned char)rest.data[length] < ' ') {
            return 0;
        }
        length++;
    }
    return length;
}

static bool mask_iso_2022(enum charset_shift shift, struct text bytes,
                          char *out)
{
    enum shift_state state = STATE_ASCII;
    for (size_t at = 0; at < bytes.length;) {
        char byte = bytes.data[at];
        if (byte == ESCAPE) {
            size_t length =
                take_escape(shift, text_slice(bytes, at, bytes.length), &state);
            if (length == 0) {
                return false;
            }
            memset(out + at, MASKED, length);
            at += length;
            continue;
        }
        bool is_shift = byte == SHIFT_OUT || byte == SHIFT_IN;
        bool is_line_end = byte == '\r' || byte == '\n';
        if ((is_shift && shift == SHIFT_ISO_2022_JP) ||
            (is_line_end && state == STATE_OTHER)) {
            return false;
        }
        if (is_shift) {
            state = byte == SHIFT_OUT ? STATE_OTHER : STATE_ASCII;
        }
        out[at++] = is_shift ? MASKED : mask_byte(state, byte);
    }
    return state != STATE_OTHER;
}

/* --- masks of HZ (RFC 1843) --- */

static bool mask_hz(struct text bytes, char *out)
{
    bool is_shifted = false;
    for (size_t at = 0; at < bytes.length;) {
        char byte = bytes.data[at];
        if (byte != '~') {
            if (is_shifted && (byte == '\n' || byte == '\r')) {
                return false;
            }
            out[at++] = is_shifted || (byte & 0x80) ? MASKED : byte;
            continue;
        }
        char next = at + 1 < bytes.length ? bytes.data[at + 1] : '\0';
        bool is_known = is_shifted ? next == '}'
                                   : next == '{' || next == '~' ||
                                         next == '\n' || next == '\r';
        if (!is_known) {
            return false;
        }
        is_shifted = next == '{';
        memset(out + at, MASKED, 2);
        at += 2;
    }
    return !is_shifted;
}

/* --- masks of UTF-7 (RFC 2152) --- */

static int base64_value(char byte)
{
    return byte >= 'A' && byte <= 'Z'   ? byte - 'A'
           : byte >= 'a' && byte <= 'z' ? byte - 'a' + 26
           : ascii_is_digit(byte)       ? byte - '0' + 52
           : byte == '+'                ? 62
           : byte == '/'                ? 63
                                        : -1;
}

static bool is_markup(uint32_t unit)
{
    return unit == '<' || unit == '>' || unit == '"' || unit == '\'';
}

/* Behind a "+": how long is the base64, its "-" included? False: it hides what
 * a reader of HTML would take for markup, and we would not. */
static bool take_base64(struct text rest, size_t *out_length)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t at = 0;
    for (; at < rest.length && base64_value(rest.data[at]) >= 0; at++) {
        bits = bits << 6 | (uint32_t)base64_value(rest.data[at]);
        bit_count += 6;
        if (bit_count >= 16) {
            bit_count -= 16;
            if (is_markup(bits >> bit_count & 0xFFFF)) {
                return false;
            }
        }
    }
    if (at == rest.length) {
        return false; /* it is still open */
    }
    *out_length = rest.data[at] == '-' ? at + 1 : at;
    return true;
}

static bool mask_utf_7(struct text bytes, char *out)
{
    for (size_t at = 0; at < bytes.length;) {
        char byte = bytes.data[at];
        if (byte & 0x80) {
            return false;
        }
        if (byte != '+') {
            out[at++] = byte;
            continue;
        }
        size_t length;
        if (!take_base64(text_slice(bytes, at + 1, bytes.length), &length)) {
            return false;
        }
        memset(out + at, MASKED, length + 1);
        at += length + 1;
    }
    return true;
}

static bool mask_shifted(enum charset_shift shift, struct text bytes, char *out)
{
    return shift == SHIFT_HZ      ? mask_hz(bytes, out)
           : shift == SHIFT_UTF_7 ? mask_utf_7(bytes, out)
                                  : mask_iso_2022(shift, bytes, out);
}

bool charset_mask(const struct charset *charset, struct text bytes,
                  struct buffer *out_mask)
{
    size_t length = bytes.length / charset_unit_bytes(charset);
    buffer_reserve(out_mask, length + 1);
    char *out = out_mask->data + out_mask->length;
    bool fits = charset->form == CHARSET_SHIFTED
                    ? mask_shifted(charset->shift, bytes, out)
                    : mask_wide(charset, bytes, out);
    if (fits) {
        out_mask->length += length;
        out_mask->data[out_mask->length] = '\0';
    }
    return fits;
}

/* --- conversion --- */

/* Stops at the first byte that does not fit: false. Without data: what the
 * converter holds back, a letter that a mark could follow, comes out. */
static bool convert(iconv_t handle, struct text bytes, struct buffer *out)
{
    char *in = (char *)(uintptr_t)bytes.data; /* iconv only reads it */
    size_t in_left = bytes.length;
    for (;;) {
        buffer_reserve(out, in_left * 2 + 16);
        char *to = out->data + out->length;
        size_t room = out->capacity - out->length - 1;
        size_t to_left = room;
        size_t result = iconv(handle, in ? &in : NULL, &in_left, &to, &to_left);
        out->length += room - to_left;
        if (result != (size_t)-1) {
            out->data[out->length] = '\0';
            return true;
        }
        if (errno != E2BIG) {
            return false;
        }
    }
}

/* Those in which the converter would put a letter and its mark together, which
 * browsers do not. All are single-byte. */
static bool is_composing(const char *iconv_name)
{
    return strcmp(iconv_name, "CP1255") == 0 ||
           strcmp(iconv_name, "CP1258") == 0 ||
           strncmp(iconv_name, "TCVN", 4) == 0;
}

static bool convert_all(iconv_t handle, bool one_by_one, struct text span,
                        struct buffer *out)
{
    static const struct text rest = { NULL, 0 };
    size_t step = one_by_one ? 1 : span.length;
    for (size_t at = 0; at < span.length; at += step) {
        if (!convert(handle, text_slice(span, at, at + step), out) ||
            !convert(handle, rest, out)) {
            return false;
        }
    }
    return true;
}

/* Convert what is in front of the span for its shifts alone, then the span. */
static bool convert_span(const char *iconv_name, struct text before,
                         struct text span, struct buffer *out)
{
    iconv_t handle = iconv_open("UTF-8", iconv_name);
    if (handle == (iconv_t)-1) {
        return false;
    }
    size_t length = out->length;
    struct buffer ignored = { 0 };
    bool is_valid = before.length == 0 || convert(handle, before, &ignored);
    buffer_free(&ignored);
    is_valid =
        is_valid && convert_all(handle, is_composing(iconv_name), span, out);
    iconv_close(handle);
    if (!is_valid && out->data) {
        out->length = length;
        out->data[length] = '\0';
    }
    return is_valid;
}

/* --- conversion of shifted sets --- */

static size_t look_back_from(size_t from)
{
    return from > LOOK_BACK_BYTES ? from - LOOK_BACK_BYTES : 0;
}

/* Where the line of the span begins, or as far as we look back. */
static size_t line_from(struct text part, size_t from)
{
    size_t low = look_back_from(from);
    const char *found = memrchr(part.data + low, '\n', from - low);
    return found ? (size_t)(found - part.data) + 1 : low;
}

/* The escape sequence that is in force at the span's start. */
static size_t escape_from(struct text part, size_t from)
{
    size_t low = look_back_from(from);
    const char *found = memrchr(part.data + low, ESCAPE, from - low);
    return found ? (size_t)(found - part.data) : from;
}

static size_t base64_from(struct text part, size_t from)
{
    size_t low = look_back_from(from);
    size_t at = from;
    while (at > low && base64_value(part.data[at - 1]) >= 0) {
        at--;
    }
    /* The run begins with the first "+" of what may all be base64. */
    const char *plus = memchr(part.data + at, '+', from - at);
    return plus ? (size_t)(plus - part.data) : from;
}

/* HZ without its shifts: pairs of bytes with the high bit, as in GB 2312. */
static void append_unshifted_hz(struct text part, size_t line, size_t from,
                                size_t to, struct buffer *out)
{
    bool is_shifted = false;
    for (size_t at = line; at < to; at++) {
        char byte = part.data[at];
        char next = at + 1 < part.length ? part.data[at + 1] : '\0';
        if (byte == '~' && next != '\0' && strchr("{}\r\n", next)) {
            is_shifted = next == '{';
            at++;
            continue;
        }
        if (byte == '~' && next == '~') {
            at++;
        }
        if (at >= from) {
            bool is_pair = is_shifted && (unsigned char)byte > ' ';
            buffer_append_byte(out, is_pair ? (char)(byte | 0x80) : byte);
        }
    }
}

static bool hz_to_utf8(const struct charset *charset, struct text part,
                       size_t from, size_t to, struct buffer *out)
{
    struct buffer bytes = { 0 };
    append_unshifted_hz(part, line_from(part, from), from, to, &bytes);
    bool is_valid = convert_span(charset->iconv_name, TEXT_LITERAL(""),
                                 buffer_text(&bytes), out);
    buffer_free(&bytes);
    return is_valid;
}

static bool shifted_to_utf8(const struct charset *charset, struct text part,
                            size_t from, size_t to, struct buffer *out)
{
    struct buffer bytes = { 0 };
    size_t start = from;
    switch (charset->shift) {
    case SHIFT_ISO_2022_JP:
        start = escape_from(part, from);
        break;
    case SHIFT_UTF_7:
        start = base64_from(part, from);
        break;
    case SHIFT_ISO_2022_KR:
        /* The designation stands once, at the start of the part. */
        buffer_append_string(&bytes, "\x1B$)C");
        start = line_from(part, from);
        break;
    default:
        start = line_from(part, from);
    }
    buffer_append_text(&bytes, text_slice(part, start, from));
    struct text span = text_slice(part, from, to);
    bool is_valid =
        convert_span(charset->iconv_name, buffer_text(&bytes), span, out)
        /* Half-width kana and rows that the plain label does not cover. */
        || (charset->shift == SHIFT_ISO_2022_JP &&
            convert_span("ISO-2022-JP-3", buffer_text(&bytes), span, out));
    buffer_free(&bytes);
    return is_valid;
}

static bool superset_to_utf8(const struct charset *charset, struct text span,
                             struct buffer *out)
{
    if (strcmp(charset->iconv_name, "UTF-8") == 0 || !text_has_8bit(span) ||
        !convert_span(charset->iconv_name, TEXT_LITERAL(""), span, out)) {
        buffer_append_text(out, span);
    }
    return true;
}

bool charset_to_utf8(const struct charset *charset, struct text part,
                     size_t from, size_t to, struct buffer *out_utf8)
{
    struct text span = text_slice(part, from, to);
    if (span.length == 0) {
        return charset->form != CHARSET_UNKNOWN;
    }
    switch (charset->form) {
    case CHARSET_ASCII_SUPERSET:
        return superset_to_utf8(charset, span, out_utf8);
    case CHARSET_SHIFTED:
        return charset->shift == SHIFT_HZ
                   ? hz_to_utf8(charset, part, from, to, out_utf8)
                   : shifted_to_utf8(charset, part, from, to, out_utf8);
    case CHARSET_WIDE_2:
    case CHARSET_WIDE_4:
        return convert_span(charset->iconv_name, TEXT_LITERAL(""), span,
                            out_utf8);
    default:
        return false;
    }
}

/* --- ASCII in a charset --- */

static void append_unit(const struct charset *charset, char byte,
                        struct buffer *out)
{
    size_t size = charset_unit_bytes(charset);
    char unit[4] = { 0 };
    unit[charset->is_big_endian ? size - 1 : 0] = byte;
    buffer_append(out, unit, size);
}

static void append_shifted(enum charset_shift shift, char byte,
                           struct buffer *out)
{
    if (shift == SHIFT_HZ && byte == '~') {
        buffer_append_string(out, "~~");
    } else if (shift == SHIFT_UTF_7 && byte == '+') {
        buffer_append_string(out, "+-");
    } else if (shift == SHIFT_UTF_7 && byte == '~') {
        buffer_append_string(out, "+AH4-");
    } else if (shift == SHIFT_UTF_7 && byte == '\\') {
        buffer_append_string(out, "+AFw-");
    } else {
        buffer_append_byte(out, byte);
    }
}

void charset_from_ascii(const struct charset *charset, struct text ascii,
                        struct buffer *out_bytes)
{
    if (charset->form == CHARSET_ASCII_SUPERSET) {
        buffer_append_text(out_bytes, ascii);
        return;
    }
    for (size_t i = 0; i < ascii.length; i++) {
        if (charset->form == CHARSET_SHIFTED) {
            append_shifted(charset->shift, ascii.data[i], out_bytes);
        } else {
            append_unit(charset, ascii.data[i], out_bytes);
        }
    }
}
