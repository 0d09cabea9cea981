;; Returns 16,384 details whose keys are one and the same 64 KiB of its memory: a gigabyte to whoever copies them. They are
;; an array of (pointer, length, pointer, length) from 128 KiB on, filled in here.
(module
  (import "bootc-image:policy/operations@0.1.0" "[resource-drop]operation" (func $drop (param i32)))
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  (func $fill (local $at i32)
    (drop (memory.grow (i32.const 8)))
    (local.set $at (i32.const 131072))
    (loop $next
      (i32.store offset=4 (local.get $at) (i32.const 65536))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 393216)))))
  (func (export "bootc-image:policy/validate@0.1.0#evaluate") (param $operation i32) (result i32)
    (call $drop (local.get $operation))
    (call $fill)
    ;; The details of the verdict, at 65,536: where they are, and how many.
    (i32.store (i32.const 65588) (i32.const 131072))
    (i32.store (i32.const 65592) (i32.const 16384))
    (memory.fill (i32.const 0) (i32.const 97) (i32.const 65536))
    (i32.const 65536)))
