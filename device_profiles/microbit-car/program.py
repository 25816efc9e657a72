# Runs on the board. Blank lines cut it into commands of at most 400 bytes; {name} is a parameter of the profile.
# E: until when the motors may run; V: the outputs as last written; every command ends in w().
from microbit import *
from machine import time_pulse_us
from utime import sleep_us
P=(pin{left_pwm},pin{right_pwm})
D=(pin{left_dir},pin{right_dir})
V=[0,0]
E=0

def a(i,v):
 global E
 E=running_time()+600
 D[i].write_digital(1 if v<0 else 0)
 P[i].write_analog(abs(v)*4)
 V[i]=v

def s():
 global E
 a(0,0)
 a(1,0)
 E=0
 print("!",V[0],V[1])

# The deadman: wait for the next command as long as the motors may run, then stop them.
def w():
 print("+")
 while running_time()<E and not uart.any():
  pass
 if running_time()>=E and V!=[0,0]:
  a(0,0)
  a(1,0)

def r():
 t=pin{trigger_pin}
 t.write_digital(1)
 sleep_us(10)
 t.write_digital(0)
 v=time_pulse_us(pin{echo_pin},1,25000)
 return v if v>0 else 23200
