;; Takes a million table entries, and a refusal isn't the end of it.
(module
  (import "bootc-image:policy/operations@0.1.0" "[resource-drop]operation" (func $drop (param i32)))
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  (table $table 1 funcref)
  (func (export "bootc-image:policy/validate@0.1.0#evaluate") (param $operation i32) (result i32)
    (call $drop (local.get $operation))
    (if (i32.eq (table.grow $table (ref.null func) (i32.const 1000000)) (i32.const -1)) (then (unreachable)))
    (i32.const 0)))
