;; Has a table that is larger than any run may have.
(module
  (import "bootc-image:policy/operations@0.1.0" "[resource-drop]operation" (func $drop (param i32)))
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  (table 60511 funcref)
  (func (export "bootc-image:policy/validate@0.1.0#evaluate") (param $operation i32) (result i32)
    (call $drop (local.get $operation))
    (i32.const 0)))
