#compdef bootc-image
# Completion for zsh. The program itself says what can be typed next, so this script never gets out of date.
_bootc-image() {
    local -a lines values shown begun described
    local line value
    lines=("${(@f)$(bootc-image complete -- "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    case $lines[1] in
        :files) _files; return ;;
        :directories) _files -/; return ;;
    esac
    for line in "${(@)lines[2,-1]}"; do
        value=${line%%$'\t'*}
        if [[ $value == *= ]]; then
            begun+=("$value")
            described+=("$value  ${line#*$'\t'}")
        else
            values+=("$value")
            shown+=("$value  ${line#*$'\t'}")
        fi
    done
    (( $#begun )) && compadd -l -S '' -d described -a begun
    (( $#values )) && compadd -l -d shown -a values
}
if [[ $funcstack[1] == _bootc-image ]]; then
    _bootc-image "$@"
else
    compdef _bootc-image bootc-image
fi
