# Completion for fish. The program itself says what can be typed next, so this script never gets out of date.
function __bootc_image_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -e typed[1]
    set -l lines (bootc-image complete -- $typed "$current" 2>/dev/null)
    switch "$lines[1]"
        case :files
            __fish_complete_path "$current"
        case :directories
            __fish_complete_directories "$current"
        case '*'
            set -e lines[1]
            printf '%s\n' $lines
    end
end
complete -c bootc-image -f -k -a '(__bootc_image_complete)'
