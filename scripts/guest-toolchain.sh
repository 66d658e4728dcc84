#!/usr/bin/env bash
# Makes sure that guests can be built: for wasm32-wasip2, and for wasm32-wasip1, which `cargo component` uses.
#
# The default toolchain may have both targets already; else `rustup target add` gets them; else, on Debian, the
# standard library is built from Debian's own packages and linked as the rustup toolchain `wasm-guest`. The rest
# of the project knows only this: where the default toolchain lacks a target and `wasm-guest` exists, it builds
# guests with RUSTUP_TOOLCHAIN=wasm-guest.
set -euo pipefail

targets=(wasm32-wasip2 wasm32-wasip1)
home="${XDG_CACHE_HOME:-$HOME/.cache}/tarefa/guest-toolchain"
say() { echo "guest toolchain: $*"; }
fail() { say "$*" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Whether a compiler can build and link an empty program for every target: that finds whatever is missing or stale.
works() {
    for target in "${targets[@]}"; do
        echo 'fn main() {}' | "$@" --target "$target" -o "$scratch/empty.wasm" - >/dev/null 2>&1 || return 1
    done
}

works rustc && { say "the default toolchain builds for ${targets[*]}"; exit; }
command -v rustup >/dev/null || fail "the default toolchain lacks ${targets[*]}; install rustup (https://rustup.rs) and try again"
works rustup run wasm-guest rustc && { say "the toolchain \`wasm-guest\` builds for ${targets[*]}"; exit; }
say "rustup target add ${targets[*]}"
timeout 120 rustup target add "${targets[@]}" >"$scratch/rustup" 2>&1 && works rustc && { say "added"; exit; }
grep -m 1 '^error' "$scratch/rustup" >&2 || tail -n 1 "$scratch/rustup" >&2
command -v apt-get >/dev/null || fail "rustup could not add ${targets[*]} (above), and this is not a Debian whose packages could stand in"

say "rustup cannot download; building the standard library from Debian's packages (about a minute)"
as_root=$([ "$(id -u)" = 0 ] || command -v sudo || fail "apt-get needs root: run once as root, or install sudo")
$as_root apt-get update -qq
$as_root apt-get install -qq -y --no-install-recommends rustc-web cargo-web rust-web-src >/dev/null ||
    fail "apt-get could not install rustc-web, cargo-web and rust-web-src (above); they are in Debian 12's security updates"

# Debian 12's wasi-libc is too old for wasip2, so Debian 13's is unpacked, not installed, from the same mirror.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
rm -rf "$home" && mkdir -p "$home"/{lists/partial,cache/archives/partial,libc,crate/src} && cd "$home"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:?no Debian mirror in the apt sources} trixie main" >trixie.list
apt=(apt-get -qq "-oDir::State::Lists=$home/lists" "-oDir::Cache=$home/cache" "-oDir::Etc::SourceList=$home/trixie.list"
    -oDir::Etc::SourceParts=/dev/null -oAPT::Sandbox::User=)
{ "${apt[@]}" update && "${apt[@]}" download wasi-libc && dpkg -x wasi-libc_*.deb libc; } ||
    fail "could not get Debian 13's wasi-libc from $mirror (above)"

# rustup's own toolchain has the linkers. They find their libraries beside them, hence links and no copies.
triple=$(rustc -vV | sed -n 's/^host: //p')
sysroot="$home/sysroot" linkers="$(rustc --print sysroot)/lib/rustlib/$triple/bin"
mkdir -p "$sysroot/bin" "$sysroot/lib/rustlib/$triple"
ln -s "$linkers" "/usr/lib/rustlib/$triple/lib" "$sysroot/lib/rustlib/$triple/"
ln -s /usr/bin/cargo "$sysroot/bin/cargo"
printf '#!/bin/sh\nexec /usr/bin/rustc --sysroot %q "$@"\n' "$sysroot" >"$sysroot/bin/rustc" && chmod +x "$sysroot/bin/rustc"

printf '[package]\nname = "std-for-guests"\nedition = "2024"\n[workspace]\n' >crate/Cargo.toml
echo 'fn main() {}' >crate/src/main.rs
for target in "${targets[@]}"; do
    libc="$home/libc/usr/lib/${target/%wasip1/wasi}" && libs="$sysroot/lib/rustlib/$target/lib"
    # Bitcode is what link-time optimisation of guests needs later.
    (cd crate && env -u RUSTUP_TOOLCHAIN -u CARGO_TARGET_DIR RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc PATH="$linkers:$linkers/gcc-ld:$PATH" \
        RUSTFLAGS="-Cembed-bitcode=yes -Clink-self-contained=no -Lnative=$libc -Clink-arg=$libc/crt1-command.o" \
        /usr/bin/cargo build -q --release -Zbuild-std=std,panic_abort --target "$target")
    mkdir -p "$libs/self-contained" && cp "crate/target/$target"/release/deps/*.rlib "$libs/"
    cp "$libc"/{libc.a,crt1-command.o,crt1-reactor.o} "$libs/self-contained/"
done
rm -rf crate && rustup toolchain link wasm-guest "$sysroot" 2>/dev/null
works rustup run wasm-guest rustc || fail "the toolchain in $home does not build for ${targets[*]}; remove that folder and try again"
say "linked the rustup toolchain \`wasm-guest\` ($sysroot)"
