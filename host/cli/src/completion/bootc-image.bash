# Completion for bash. The program itself says what can be typed next, so this script never gets out of date.
_bootc_image() {
    local rest=${COMP_LINE:0:COMP_POINT} typed=() word spaces i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        spaces=${rest%%[![:space:]]*}
        rest=${rest#"$spaces"}
        if [[ ${#word} -gt ${#rest} ]]; then word=$rest; fi
        # bash also splits words at `:` and `=`.
        if [[ -n $spaces || ${#typed[@]} -eq 0 ]]; then typed+=("$word"); else typed[-1]+=$word; fi
        rest=${rest#"$word"}
    done
    local current=${typed[-1]} breaks=${COMP_WORDBREAKS//[!:=]/} kept='' kind='' lines=() line
    # What bash replaces begins after the last of these.
    if [[ -n $breaks ]]; then kept=${current%"${current##*[$breaks]}"}; fi
    { read -r kind; mapfile -t lines; } < <(bootc-image complete -- "${typed[@]:1}" 2>/dev/null)
    COMPREPLY=()
    case $kind in
        :files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "${current#"$kept"}") ;;
        :directories) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "${current#"$kept"}") ;;
        *)
            for line in "${lines[@]}"; do
                line=${line%%$'\t'*}
                COMPREPLY+=("${line#"$kept"}")
            done
            if [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace; fi
            ;;
    esac
}
complete -o nosort -F _bootc_image bootc-image
