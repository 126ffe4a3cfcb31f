#!/bin/sh
# What bash completes on a line with smrrun: by a real bash, which loads what is installed and is asked as its own
# completion would ask. What stands in single quotes is for bash.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# completes LINE: what bash offers at the end of that line, on one line.
completes() {
    PATH=$tap_build:$PATH bash --norc --noprofile -c '
        . "$1" || exit
        shopt -s extglob
        COMP_LINE=$2 COMP_POINT=${#2} COMP_KEY=9 COMP_TYPE=9
        # As readline cuts the line: at blanks, and before and behind = and :
        rest=$2 COMP_WORDS=()
        while [[ $rest ]]; do
            rest=${rest##+([[:blank:]])}
            word=${rest%%[[:blank:]=:]*}
            [[ $word ]] || { word=${rest%%[!=:]*}; word=${word:0:1}; }
            [[ $word ]] && COMP_WORDS+=("$word")
            rest=${rest:${#word}}
        done
        [[ $2 == *[[:blank:]] ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _smrrun
        printf "%s\n" "${COMPREPLY[@]}"
    ' bash "$tap_source/tools/completion/smrrun" "$1" 2>&1 | tr '\n' ' ' | sed 's/ *$//'
}

# The same, sorted.
sorted() {
    completes "$1" | tr ' ' '\n' | sort | tr '\n' ' ' | sed 's/ *$//'
}

begin_smrrun 60
command -v bash >/dev/null || skip_all "no bash"
bash -c '((BASH_VERSINFO[0] >= 4))' || skip_all "bash is older than 4"

gives 0 "--completion bash" "$smrrun" --completion bash
ok "is a script for bash" bash -n out
gives 125 "--completion zsh" "$smrrun" --completion zsh
says "^smrrun: --completion zsh: no such shell; give bash, as in: smrrun --completion bash" "is refused"
has "complete -F _smrrun smrrun" \
    "$(PATH=$tap_build:$PATH bash -c '. "$1"; complete -p smrrun' bash "$tap_source/tools/completion/smrrun")" \
    "the file that is installed has bash complete smrrun"

# Options
is "--map-by --mem" "$(completes 'smrrun -n 4 --m')" "options by their beginning"
is "--bind-to" "$(completes 'smrrun --b')" "one of them"
has "-n --threads -t --bind-to" "$(completes 'smrrun -')" "letters, too"
is "" "$(completes 'smrrun --mca')" "those of other launchers are not offered"
is "--threads --timeout --timestamps" "$(completes 'smrrun -l -n4 -k --t')" "behind flags"

# Values
is "share core pu l3 numa package none" "$(completes 'smrrun --bind-to ')" "words"
is "package pu" "$(sorted 'smrrun --bind-to p')" "by their beginning"
is "interleave" "$(completes 'smrrun --mem=i')" "behind ="
is "local interleave none" "$(completes 'smrrun --mem=')" "at ="
is "bash" "$(completes 'smrrun --completion ')" "of each option that has words"
is "" "$(completes 'smrrun -n ')" "no rank is guessed"
is "" "$(completes 'smrrun -np ')" "however it is said"
is "" "$(completes 'smrrun -ln ')" "nor behind letters"
is "SHAREDMEM_A1" "$(SHAREDMEM_A1=1 && export SHAREDMEM_A1 && completes 'smrrun -x SHAREDMEM_A')" "variables"

# Files
mkdir 'a folder' data && touch data/input 'a file' data.txt input.nml && printf '#!/bin/sh\n' >data/solver
chmod +x data/solver
is "data" "$(completes 'smrrun -w d')" "-w: folders only"
is "data data.txt" "$(sorted 'smrrun -o d')" "-o: files"
is "a a file folder" "$(sorted 'smrrun -lo a')" "with blanks in them"
is "data/solver" "$(completes 'smrrun -n 4 data/so')" "the program"
has "smrrun" "$(completes 'smrrun smrru')" "or one in PATH"
is "input.nml" "$(completes 'smrrun -n 4 ./prog -x 1 inp')" "the program's files"
is "input.nml" "$(completes 'smrrun -np 4 --mca btl self -- ./prog inp')" "behind options of two values, and --"
is "data/input" "$(completes 'smrrun ./prog --bind-to data/i')" "its options are not ours"

# Several programs
is "--ntasks" "$(completes 'smrrun -n 1 ./a x : --n')" "behind a : the options that can stand there"
is "" "$(completes 'smrrun -n 1 ./a x : --bind')" "and no others"
is "data/solver" "$(completes 'smrrun -n 1 ./a : -n 2 data/so')" "the next program"
finish
