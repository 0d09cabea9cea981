;; Calls into the host where the host asks for memory to put a text into: in the middle of a call of the host's.
(module
  (import "bootc-image:policy/operations@0.1.0" "[resource-drop]operation" (func $drop (param i32)))
  (import "bootc-image:policy/operations@0.1.0" "[method]operation.kind" (func $kind (param i32 i32)))
  (memory (export "memory") 2)
  (global $operation (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (call $kind (global.get $operation) (i32.const 2048))
    (i32.const 4096))
  (func (export "bootc-image:policy/validate@0.1.0#evaluate") (param $operation i32) (result i32)
    (global.set $operation (local.get $operation))
    (call $kind (local.get $operation) (i32.const 1024))
    (call $drop (local.get $operation))
    (i32.const 0)))
