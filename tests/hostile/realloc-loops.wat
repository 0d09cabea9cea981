;; Loops where the host asks for memory to put a text into: in the middle of a call of the host's.
(module
  (import "bootc-image:policy/operations@0.1.0" "[resource-drop]operation" (func $drop (param i32)))
  (import "bootc-image:policy/operations@0.1.0" "[method]operation.kind" (func $kind (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (loop $forever (br $forever))
    (unreachable))
  (func (export "bootc-image:policy/validate@0.1.0#evaluate") (param $operation i32) (result i32)
    (call $kind (local.get $operation) (i32.const 1024))
    (call $drop (local.get $operation))
    (i32.const 0)))
