;; Calls a function of the host's so often that its time is long up, with no loop and no function of its own in between. What
;; follows `repeat` stands there so many times.
(module
  (import "bootc-image:policy/operations@0.1.0" "[resource-drop]operation" (func $drop (param i32)))
  (import "bootc-image:host/log@0.1.0" "enabled" (func $enabled (param i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  (func (export "bootc-image:policy/validate@0.1.0#evaluate") (param $operation i32) (result i32)
    (call $drop (local.get $operation))
    ;; Its answer is the next question: two bytes a call.
    i32.const 0
    ;; repeat 150000
    call $enabled
    drop
    i32.const 0))
