#!/bin/sh
# Fails when what the headers export and what section 3 of the manual shows differ, or when a
# subcommand of atls has no page, or an option or a key of a configuration is not in its page, or a page
# does not pass mandoc.
#
#   man/check.sh [ROOT]     ROOT: the source tree, default the parent of this script's folder
set -eu

root=${1:-$(dirname "$0")/..}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Prototypes of the headers, one a line, without comments and our own attributes.
for header in "$root"/include/atls/*.h; do
    tr '\n' ' ' <"$header" |
        sed -e 's,/\*[^*]*\*\**\([^/*][^*]*\*\**\)*/, ,g' \
            -e 's/# *define ATLS_API[^A-Z]*//g' |
        grep -o 'ATLS_API [^;{]*[;{]' | tr -d ';{' || true
done | sed -e 's/ATLS_API//' -e 's/ATLS_MUST_CHECK//' -e 's/ATLS_PRINTF([^)]*)//' \
    -e 's/[[:space:]][[:space:]]*/ /g' -e 's/^ //' -e 's/ $//' -e 's/( /(/' |
    grep 'atls_' | sort >"$work/headers"

# The same from the pages: .Ft, .Fo, .Fa, .Fc for functions, .Vt "extern ..." for objects.
awk '
    /^\.Sh / { on = ($2 == "SYNOPSIS") }
    !on { next }
    { line = $0; sub(/^\.[A-Z][a-z] /, "", line); gsub(/"/, "", line) }
    /^\.Vt / { print line }
    /^\.Ft / { type = line }
    /^\.Fo / { text = type (type ~ /\*$/ ? "" : " ") line "("; first = 1 }
    /^\.Fa / { text = text (first ? "" : ", ") line; first = 0 }
    /^\.Fc/ { print text ")" }
' "$root"/man/*.3 | grep -v '^static ' | sort >"$work/pages"

if ! diff -u "$work/headers" "$work/pages" >"$work/diff"; then
    echo "man/check.sh: headers (-) and pages (+) differ:" >&2
    cat "$work/diff" >&2
    failed=1
fi

for source in "$root"/apps/atls/*.c; do
    name=$(sed -n 's/^const struct command command_\([a-z]*\) = {.*/\1/p' "$source")
    if [ -n "$name" ] && [ ! -f "$root/man/atls-$name.1" ]; then
        echo "man/check.sh: no page for atls $name" >&2
        failed=1
    fi
done

# Every option of a usage text is in its page.
for page in "$root"/man/atls-*.1; do
    name=$(basename "$page" .1 | sed 's/^atls-//')
    source="$root/apps/atls/$name.c"
    [ -f "$source" ] || continue
    shared=$root/apps/atls/flavour.c
    grep -q flavour_options "$source" || shared=
    sed -n 's/^ *"  --\([a-z0-9-]*\).*/\1/p' "$source" ${shared:+"$shared"} >"$work/options"
    while read -r option; do
        if ! grep -q -e "^\.It Fl Fl $option\$" -e "^\.It Fl Fl $option " "$page"; then
            echo "man/check.sh: $page does not document --$option" >&2
            failed=1
        fi
    done <"$work/options"
done

# The same of the simulator, whose subcommands share a page, and of its orders.
sed -n 's/^ *"  --\([a-z0-9-]*\).*/Fl Fl \1/p' "$root"/apps/atls-tee-sim/*.c >"$work/options"
sed -n 's/^ *X([A-Z0-9_]*, "\([a-z0-9-]*\)".*/Cm \1/p' "$root/simulator/state.h" >>"$work/options"
[ "$(grep -c '^Cm' "$work/options")" -gt 1 ] && [ "$(grep -c '^Fl' "$work/options")" -gt 1 ] || failed=1
while read -r option; do
    if ! grep -q -e "^\.It $option\$" -e "^\.It $option " "$root/man/atls-tee-sim.1"; then
        echo "man/check.sh: atls-tee-sim.1 does not document $option" >&2
        failed=1
    fi
done <"$work/options"

# The same of the daemons, and every key of their configuration.
for page in "$root"/man/*.8; do
    name=$(basename "$page" .8)
    sed -n 's/^ *"  --\([a-z0-9-]*\).*/\1/p' "$root/apps/$name/main.c" >"$work/options"
    while read -r option; do
        if ! grep -q -e "^\.It Fl Fl $option\$" -e "^\.It Fl Fl $option " "$page"; then
            echo "man/check.sh: $page does not document --$option" >&2
            failed=1
        fi
    done <"$work/options"
    [ -s "$work/options" ] || failed=1
done
for page in "$root"/man/*.yaml.5; do
    name=$(basename "$page" .yaml.5)
    sed -n 's/^ *SCHEMA_[A-Z_]*("\([a-z0-9-]*\)".*/\1/p' "$root/apps/$name"/config*.c >"$work/keys"
    while read -r key; do
        if ! grep -q -e "^\.It Cm .*\b$key\b" -e "^\.Cm $key\( .*\)\{0,1\}\$" "$page"; then
            echo "man/check.sh: $page does not document $key" >&2
            failed=1
        fi
    done <"$work/keys"
    [ -s "$work/keys" ] || failed=1
done

# Every end of a connection, event of the log and metric of the proxy is in its page.
page=$root/man/atls-proxy.8
{
    sed -n 's/^ *\[LINK_[A-Z_]*\] = "\([a-z-]*\)",$/Cm \1/p' "$root/apps/atls-proxy/link_end.c"
    cat "$root"/apps/atls-proxy/*.c "$root/apps/daemon/listen.c" | tr '\n' ' ' |
        grep -o '\(log_say\|begin\)([^";]*"[a-z-]*"' | sed 's/.*"\(.*\)"/Cm \1/'
    sed -n 's/.*"\(atls_proxy_[a-z_]*\)".*/Li \1/p' "$root/apps/atls-proxy/metrics.c"
} | sort -u >"$work/words"
for word in 'Cm closed' 'Cm open' 'Li atls_proxy_ready'; do
    grep -qx "$word" "$work/words" || failed=1
done
while read -r kind word; do
    if ! grep -q -e "^\.It $kind \(.* \)\{0,1\}$word\( .*\)\{0,1\}\$" "$page"; then
        echo "man/check.sh: $page does not document $word" >&2
        failed=1
    fi
done <"$work/words"

if command -v mandoc >/dev/null; then
    mandoc -Tlint -W warning "$root"/man/*.[1-8] >&2 || failed=1
fi
exit "$failed"
